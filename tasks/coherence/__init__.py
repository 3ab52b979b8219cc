"""Whether request, text to draw and drawn film of a dialogue tell the same."""
