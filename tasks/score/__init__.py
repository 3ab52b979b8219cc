"""Predictions and references in, judged and scored tables out."""
