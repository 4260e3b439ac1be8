"""A worker whose state log may hold little: ``python -m tests.e2e.short_log BYTES worker …``."""

import sys
from functools import partial

from agents import cli
from streams import join, topology


def main() -> None:
    """Run the command line with a smaller log."""
    log_bytes = int(sys.argv.pop(1))
    topology.Join = partial(join.Join, log_bytes=log_bytes)  # type: ignore[assignment,misc]
    cli.main()


if __name__ == "__main__":
    main()
