"""Who becomes champion of a registered model: the gate, its evidence, and the promotion."""
