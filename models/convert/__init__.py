"""Published checkpoints into Hugging Face's layout, and back."""
