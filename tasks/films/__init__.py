"""Films as networks read them: a classifier of findings, features, and what is scored with both."""
