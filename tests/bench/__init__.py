"""Speed beside named rivals, in the same minutes: ``python -m tests.bench.run``."""
