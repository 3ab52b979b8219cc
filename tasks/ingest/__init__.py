"""From raw files to studies and stored pixels, source by source."""
