"""The fault suite: workers on a real Kafka, harmed in every way we know, judged from outside.

Reading order: `truth` (what the numbers must be), `ledger` (what was written), `supervisor` (the
workers), `broker` and `proxy` (what can be harmed below them), `onlooker` and `verify` (what the
topics say), `state_log`, `trial` (one run), `scenarios`, `refusals`, `history_scenarios` and
`history_verify` (a history and its sink), `run` (the command line). `crashing_worker` is a worker,
or a sink, that dies, freezes or cheats on demand.

Nothing here knows more of the product than its command line, its topics, the tables of its history
and its exit codes, but for `state_log`, which folds the join's log with the product's own code, and
says so.
"""
