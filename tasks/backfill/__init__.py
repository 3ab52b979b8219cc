"""Ingesting a chosen part of the raw data again: sources, dates, shards."""
