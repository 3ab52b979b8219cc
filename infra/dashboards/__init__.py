"""Grafana's dashboards as code: what they show, and the JSON files that Grafana reads."""
