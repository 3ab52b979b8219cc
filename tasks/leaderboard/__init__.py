"""What data roots hold of scored recipes, beside published figures."""
