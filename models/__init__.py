"""Networks, training and inference; torch lives here, Prefect does not."""
