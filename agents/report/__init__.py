"""``driftline report``: the page in one file, as things were when it was written.

`replayed` makes a history of what a replay found; `answers` asks screens; `bundle` makes one script
of the page's modules; `file` puts all of it together.
"""
