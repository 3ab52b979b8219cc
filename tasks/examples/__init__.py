"""From studies, images and reports to training examples: filters, leakage guard, packing."""
