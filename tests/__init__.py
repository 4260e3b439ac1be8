"""Tests. A package, so that no installed distribution's `tests` can take its place."""
