"""Dialogues about films and requests for them, written by a language model from reports."""
