"""How driftline runs: Faust, Kafka, processes, time, disk, network. No rule about models.

Reading order: `settings`, `cli`, `app` (the one place where the parts meet), then what a worker
does: `transport` and `reader` (record batches in), `partitions`, `opening`, `pipeline` (the commit
loop), `timetable` (what is due), `commits`, `ledger` (state, outputs and offsets in one
transaction), `dead_letters`, `health`.
"""
