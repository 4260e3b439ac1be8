"""What driftline computes: pure functions and values, no Kafka, no clock, no I/O.

Reading order: `events`, `decoding`, `join`, `matching` (the first stage), `outcomes` (what travels
between the stages), then `evaluate` (the second stage) with `tables`, `windows`, `tallies`,
`quality` for metrics, and `order`, `watch`, `drift`, `rules` for alerts.
"""
