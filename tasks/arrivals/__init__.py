"""Files that arrive below a source's root, and the ingestion that they start."""
