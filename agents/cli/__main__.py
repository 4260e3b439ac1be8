"""``python -m agents.cli`` is ``driftline``."""

from agents.cli import main

main()
