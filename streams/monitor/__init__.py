"""The second stage: what is counted and found of models, see `stage`."""

from streams.monitor.stage import Monitor
from streams.monitor.state import MonitorState

__all__ = ["Monitor", "MonitorState"]
