r"""Record the golden files: ``python -m tests.golden.record [--check] [STREAM …]``.

The files in `tests/golden/files` say what was published before the evaluation core was rebuilt.
They are an oracle because the code that made them is gone: whoever records them with new code
writes down what the new code says, right or wrong. So record

* a stream that is new, with the name of that stream alone;
* all streams, where published numbers are *meant* to change. Then look at what differs first
  (``--check`` says it and writes nothing), and give the reason in the changelog.

Without names, all streams are recorded but for the recording of a million events, which takes a
minute or more: name it, ``million``. Files that come out the same are the same to the byte.
"""

import argparse
import sys

from tests.golden import million, results
from tests.golden.streams import STREAMS

MOST_BYTES = 3 << 20


def main() -> int:
    """Record or check the named streams; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.record")
    parser.add_argument("--check", action="store_true", help="say what differs, write nothing")
    parser.add_argument("stream", nargs="*", help=f"of {', '.join([*STREAMS, million.NAME])}")
    given = parser.parse_args()
    unknown = [name for name in given.stream if name not in (*STREAMS, million.NAME)]
    if unknown:
        parser.error(f"there is no stream {unknown[0]!r}")
    failed = 0
    for name in given.stream or STREAMS:
        failed += not (_check(name) if given.check else _record(name))
    size_bytes = sum(path.stat().st_size for path in results.FILES.iterdir())
    print(f"golden files: {size_bytes:,} bytes of {MOST_BYTES:,} at most")
    return int(bool(failed) or size_bytes > MOST_BYTES)


def _record(name: str) -> bool:
    path = results.path_of(name)
    results.FILES.mkdir(exist_ok=True)
    if name == million.NAME:
        found = million.run()
        found = found._replace(metrics=results.known(found.metrics))
        million.write(path, found)
    else:
        found = results.run(STREAMS[name]())
        if path.exists():  # metrics that came later are new: a file must not make them known
            found = found._replace(metrics=results.known(found.metrics))
        results.write(path, found)
        metrics, alerts = len(found.metrics), sum(map(len, found.alerts.values()))
        print(f"{name}: {metrics:,} metrics, {alerts:,} alert records, ", end="")
    print(f"{path.stat().st_size:,} bytes")
    return True


def _check(name: str) -> bool:
    try:
        if name == million.NAME:
            million.check(million.run(), million.read(results.path_of(name)))
        else:
            results.check(name, results.run(STREAMS[name]()), results.read(results.path_of(name)))
    except AssertionError as error:
        print(error)
        return False
    print(f"{name}: as recorded")
    return True


if __name__ == "__main__":
    sys.exit(main())
