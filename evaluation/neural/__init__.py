"""Metrics that need a neural encoder; the only part of `evaluation` that imports torch."""
