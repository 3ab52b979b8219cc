"""Units of work, one package each: plain functions beside the thin Prefect tasks that call them."""
