"""Trained models over HTTP: OpenAI's chat, findings of uploads, films of texts."""
