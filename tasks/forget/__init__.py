"""Taking a subject who withdrew out of everything that was made from their examinations."""
