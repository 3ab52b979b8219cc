"""Metrics that need a network: the only part of ``evaluation`` that imports torch.

It runs as a child process, ``python -m evaluation.neural run.json``, and reads local folders only.
"""
