"""Measuring retrieval and zero-shot classification."""
