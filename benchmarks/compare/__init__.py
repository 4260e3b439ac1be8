"""The same numbers from driftline and from the libraries that people compare them with.

`python -m benchmarks.compare.run` writes docs/comparison.md.
"""
