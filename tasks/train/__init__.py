"""Training stages, each in a child process."""
