"""Whether the findings and the impression that are written of one study tell the same."""
