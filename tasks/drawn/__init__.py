"""Sets of drawn films: a stage draws them from another set's texts, and they become examples."""
