"""The scan: sums of ten minutes, compared over many windows with how a model began.

Each input of a model is a *lane*. Rows are added up in panes of ten minutes of event time; at the
end of each, windows of ten minutes to seven days are compared with what is usual for the hour, by
the variance that sums of that length had in the lane's own first days: rows that come in clusters,
seasons and weekends widen it, and do not raise alarms. Panes are sums of whole numbers, so that
nothing depends on batches, workers or partitions.

`lanes` holds the sums, `ranks` turns numbers into shares of what was usual, `reference` learns,
`judging` compares, `evidence` says what changed, `inputs` lists what is watched, `feed` takes it
out of rows, `records` writes it all down, and `watch` does one after the other.
"""
