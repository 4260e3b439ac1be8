"""The command line, a file a command; `catalogue` lists them.

Commands are thin: they read settings, call one function, set the exit code. Imports are inside
the commands, so that ``driftline version`` does not load Kafka and numpy.
"""

from agents.cli.catalogue import app
from agents.cli.entry import main

__all__ = ["app", "main"]
