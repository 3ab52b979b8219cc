"""Ablations: variants of a recipe over one store, compared with their baseline."""
