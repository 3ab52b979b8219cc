"""Synthetic, format-exact stand-ins for the gated datasets: all generated, nothing copied."""
