"""Prometheus' configuration for the local stack."""

from __future__ import annotations

import json

from infra.fingerprint import HOUSE
from infra.stack.addresses import prefect_login
from infra.stack.place import Place, write_private

RULES = HOUSE / "infra" / "deploy" / "prometheus" / "rules"


def write_scraping(place: Place) -> None:
    """Ask Prefect's server and 'cxr metrics' for their numbers, and whoever puts a file into
    ``targets``: a server of models, say.

    JSON is YAML; the password goes into a file of its own.
    """
    folder = place.root / "prometheus"
    (folder / "targets").mkdir(exist_ok=True)
    user, _, password = prefect_login(place).partition(":")
    write_private(folder / "prefect.password", password)
    jobs = [
        {
            "job_name": "prefect",
            "metrics_path": "/api/metrics",
            "basic_auth": {"username": user, "password_file": str(folder / "prefect.password")},
            "static_configs": [{"targets": [f"127.0.0.1:{place.ports['prefect']}"]}],
        },
        {
            "job_name": "cxrflow",
            "static_configs": [{"targets": [f"127.0.0.1:{place.ports['metrics']}"]}],
            "file_sd_configs": [{"files": [str(folder / "targets" / "*.json")]}],
        },
    ]
    settings = {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": [str(RULES / "*.yml")],
        "scrape_configs": jobs,
    }
    write_private(folder / "prometheus.yml", json.dumps(settings, indent=1))
