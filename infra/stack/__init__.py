"""The servers of ``infra/deploy`` as plain local processes, for people without containers."""
