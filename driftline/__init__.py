"""The user's side of driftline: publish predictions and labels, read alerts.

Read in this order: `publisher` (what a model server imports), `alerts` (what an alert consumer
imports).
"""

from importlib.metadata import PackageNotFoundError, version

from driftline.alerts import Alerts
from driftline.publisher import Publisher
from driftline.values import Limits
from streams.alerts import Alert

try:
    __version__ = version("driftline")
except PackageNotFoundError:  # a source tree that was never installed has no metadata
    __version__ = "0+unknown"

__all__ = ["Alert", "Alerts", "Limits", "Publisher", "__version__"]
