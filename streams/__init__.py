"""What driftline computes: pure functions and values, no Kafka, no clock, no I/O.

Reading order: `events`, `outcomes`, `clock`, `join` (the first stage), then
`tallies`, `quality`, `drift`, `rules`, `alerts`, `monitors`, `evaluate` (the second stage).
"""
