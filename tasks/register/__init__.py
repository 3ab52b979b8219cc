"""Putting a scored model into the MLflow registry."""
