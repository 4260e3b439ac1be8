"""Hand metrics and alerts on: to a database, a webhook, Alertmanager, Prometheus, files.

Read in this order: `contract` (what a sink is), `runner` (the loop that hands records on, waits for
a target that is away, sets aside what it refuses), `files` (the shortest sink), `catalogue`.
"""
