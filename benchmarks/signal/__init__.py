"""How noisy and how blind the default monitors are: made streams whose truth is known.

`python -m benchmarks.signal.run` runs them through the product and writes docs/signal.md.
"""
