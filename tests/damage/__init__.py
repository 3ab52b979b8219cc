"""Every kind of bad input that we could think of, done to all sources, with what the user sees.

One module per family of damage. Each keeps a tuple ``KINDS``, from which the table in
docs/bad-input.md is made (``python -m tests.damage`` writes it, a test compares it).
"""
