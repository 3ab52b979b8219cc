"""Trained recipes on one test set: who may be asked about which studies, and how they compare."""
