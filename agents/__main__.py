"""``python -m agents`` is ``driftline``."""

from agents.cli import main

main()
