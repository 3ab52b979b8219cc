"""Heat maps of a trained model against true boxes: which sentence is read from where."""
