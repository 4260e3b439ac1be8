"""The engines: how each is started, and what its result is compared by."""

from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import CLI
from benchmarks.peers.truth import RATES, TALLIES

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
JAVA_HEAP = ("-Xms1g", "-Xmx4g")
FULL = (*TALLIES, "histogram")


class Engine(NamedTuple):
    """One engine in one setting.

    Attributes
    ----------
    engine, variant
        Its name in prose, and what the job is told.
    runtime
        `jvm`, `python` or `driftline`.
    project
        Folder of the Maven module, or name of the virtual environment.
    program
        Main class or script.
    packages
        Whose versions are reported.
    compared
        Which numbers of the result are compared; none for the floor, which has no result.
    """

    engine: str
    variant: str
    exactly_once: bool
    runtime: str
    project: str
    program: str
    packages: tuple[str, ...]
    compared: tuple[str, ...]
    about: str


def _streams(program: str, variant: str, *, exactly_once: bool, about: str) -> Engine:
    engine = {"ProcessorApi": "Kafka Streams, Processor API", "Dsl": "Kafka Streams, DSL"}[program]
    packages = ("kafka-streams", "rocksdbjni", "jackson-databind")
    return Engine(
        engine, variant, exactly_once, "jvm", "kafka-streams", program, packages, FULL, about
    )


def _flink(variant: str, *, exactly_once: bool, about: str) -> Engine:
    packages = ("flink-streaming-java", "flink-connector-kafka", "jackson-databind")
    return Engine(
        "Flink, DataStream", variant, exactly_once, "jvm", "flink", "Flink", packages, FULL, about
    )


def _python(
    engine: str,
    variant: str,
    *,
    project: str,
    packages: tuple[str, ...],
    about: str,
    compared: tuple[str, ...] = FULL,
    exactly_once: bool = False,
) -> Engine:
    program = f"{project}_job.py"
    return Engine(
        engine, variant, exactly_once, "python", project, program, packages, compared, about
    )


def _quix(variant: str, *, exactly_once: bool, about: str) -> Engine:
    return _python(
        "Quix Streams",
        variant,
        exactly_once=exactly_once,
        project="quix",
        packages=("quixstreams", "confluent-kafka"),
        compared=TALLIES,
        about=about,
    )


def _faust(variant: str, *, exactly_once: bool, about: str) -> Engine:
    return _python(
        "Faust, as it ships",
        variant,
        exactly_once=exactly_once,
        project="faust",
        packages=("faust-streaming", "aiokafka"),
        compared=TALLIES,
        about=about,
    )


def _bytewax(variant: str, about: str) -> Engine:
    packages = ("bytewax", "confluent-kafka", "orjson")
    return _python("Bytewax", variant, project="bytewax", packages=packages, about=about)


ENGINES = {
    "floor": _python(
        "floor",
        "consume",
        project="floor",
        packages=("confluent-kafka", "orjson"),
        compared=(),
        about="confluent-kafka consume and orjson, nothing else",
    ),
    "driftline": Engine(
        "driftline",
        "eos",
        True,
        "driftline",
        "",
        "",
        ("driftline", "confluent-kafka"),
        RATES,
        "worker without features, detectors and thresholds",
    ),
    "ks-papi-eos": _streams(
        "ProcessorApi", "eos", exactly_once=True, about="exactly_once_v2, RocksDB, changelogs"
    ),
    "ks-papi-at-least-once": _streams(
        "ProcessorApi",
        "at-least-once",
        exactly_once=False,
        about="at least once, RocksDB, changelogs",
    ),
    "ks-papi-memory": _streams(
        "ProcessorApi", "memory", exactly_once=False, about="in memory; a crash loses the state"
    ),
    "ks-dsl-eos": _streams(
        "Dsl", "eos", exactly_once=True, about="exactly_once_v2, RocksDB, changelogs"
    ),
    "ks-dsl-at-least-once": _streams(
        "Dsl", "at-least-once", exactly_once=False, about="at least once, RocksDB, changelogs"
    ),
    "flink-eos": _flink(
        "eos", exactly_once=True, about="exactly-once checkpoints, transactional sink"
    ),
    "flink-at-least-once": _flink("at-least-once", exactly_once=False, about="no checkpoints"),
    "quix-eos": _quix("eos", exactly_once=True, about="exactly-once, RocksDB, changelogs"),
    "quix-at-least-once": _quix(
        "at-least-once", exactly_once=False, about="at least once, RocksDB, changelogs"
    ),
    "bytewax-recovery": _bytewax("recovery", "recovery to SQLite, every 5 s"),
    "bytewax-memory": _bytewax("memory", "no recovery; a crash loses the state"),
    "pathway-memory": _python(
        "Pathway",
        "memory",
        project="pathway",
        packages=("pathway",),
        compared=TALLIES,
        about="no persistence; no histogram, nothing expires",
    ),
    "pathway-persistence": _python(
        "Pathway",
        "persistence",
        project="pathway",
        packages=("pathway",),
        compared=TALLIES,
        about="inputs persisted every 5 s; no histogram, nothing expires",
    ),
    "faust-eos": _faust(
        "eos", exactly_once=True, about="exactly_once, tables in memory, no histogram"
    ),
    "faust-at-least-once": _faust(
        "at-least-once", exactly_once=False, about="at least once, tables in memory, no histogram"
    ),
}


def command(engine: Engine, servers: str, prefix: str) -> list[str]:
    """Return the command that starts a job on the input topics of that prefix."""
    if engine.runtime == "jvm":
        target = BUILD / engine.project
        # Flink serialises classes of the JDK by reflection.
        opens = "--add-opens=java.base/java.util=ALL-UNNAMED"
        libraries = ["-cp", f"{target}/classes:{target}/libs/*"]
        return ["java", *JAVA_HEAP, opens, *libraries, f"driftline.peers.{engine.program}"]
    if engine.runtime == "python":
        return [str(python(engine)), "-B", str(HERE / "python" / engine.program)]
    inputs = ["--bootstrap-servers", servers, "--prefix", prefix]
    job = ["--window", "1m", "--horizon", "1h", "--monitors", str(HERE / "driftline.yaml")]
    return [*CLI, "worker", *inputs, *job, "--metrics-port", "0"]


def python(engine: Engine) -> Path:
    """Return the interpreter of an engine's virtual environment."""
    return BUILD / "venvs" / engine.project / "bin" / "python"
