"""Rules: limits of metrics over the last window, judged at boundaries of the ordered stream.

All models that the same rules apply to are judged at once (`findings`), from cells that are counted
by the code that counts windows (`cells`, `watch`). What is found becomes alerts elsewhere.
"""

from streams.rules.findings import Finding, Judge
from streams.rules.plan import Plan

__all__ = ["Finding", "Judge", "Plan"]
