"""What runs of others need: a new start, or a person's attention."""
