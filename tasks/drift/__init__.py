"""Watching a champion: asked about what has arrived since it was judged, and held against that."""
