"""Synthetic, format-exact stand-ins for the gated datasets; every pixel and word is generated here."""
