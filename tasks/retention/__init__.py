"""Which artifacts are still needed, and removing the others."""
