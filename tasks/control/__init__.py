"""Stopping runs on request, and starting them again."""
