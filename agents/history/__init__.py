"""The history: a database that has every revision of metrics and alerts.

Read in this order: `tables`, `writing` (a batch in one transaction, with the source's offsets),
`sources` (which topics it is of), `reading` (what was known at a time), `schema` (its version),
`database` (where it is).
"""
