"""What runs, in what order: Prefect flows and the `cxr` command; no logic lives here."""
