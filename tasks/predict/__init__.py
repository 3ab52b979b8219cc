"""Predictions of a trained model on the test examples, and of its image-blind controls."""
