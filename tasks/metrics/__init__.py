"""Numbers for Prometheus, counted from facts, and the endpoint that shows them."""
