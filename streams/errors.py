"""Every error that driftline raises on purpose; the class says whose fault it is.

DriftlineError
├── RecordError   the record is bad: it goes to the dead letters, the worker goes on
├── ConfigError   the configuration is bad: refuse to start
│   └── NoAnswerError   nobody answers there: the address may be wrong, or the broker is away
└── StateError    the state log is not what this build wrote: stop, a person must look

Anything else that is raised is a bug and ends the process.
"""


class DriftlineError(Exception):
    """Root of the tree; catch a leaf instead."""


class RecordError(DriftlineError):
    """Say why one record cannot be used.

    Parameters
    ----------
    reason
        Slug from the fixed list in docs/reference/fates.md; it becomes a metric label.
    detail
        What is wrong with this very record, for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ConfigError(DriftlineError):
    """Name the setting, its value and what is allowed."""


class NoAnswerError(ConfigError):
    """Name the address that does not answer; trying again later may help."""


class StateError(DriftlineError):
    """Name the state record that cannot be folded, and the way out."""
