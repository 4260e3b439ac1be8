"""Cells: what families count, of every model, segment and pane of event time, in columns.

A family says for every row of a batch which bin or value it is (`streams.families`); here the rows
get (`grid`) to their cells (`store`), windows are put together from cells (`view`), and cells are
written down and read back (`records`). Windows and rules count through the same code.
"""
