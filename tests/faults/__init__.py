"""The fault suite: workers on a real Kafka, harmed in every way we know, judged from outside.

Reading order: `truth` (what the numbers must be), `ledger` (what was written), `supervisor` (the
workers), `broker` and `proxy` (what can be harmed below them), `onlooker` and `verify` (what the
topics say), `state_log`, `run_of` (one run), `scenarios`, `refusals`, `run` (the command line).
`crashing_worker` is a worker that dies, freezes or cheats on demand.

Nothing here knows more of the product than its command line, its topics and its exit codes, but for
`state_log`, which folds the join's log with the product's own code, and says so.
"""
