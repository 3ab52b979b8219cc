"""``python -m infra.dashboards`` writes the JSON files that Grafana reads."""

from __future__ import annotations

from infra.dashboards.written import FOLDER, dashboards

for name, text in dashboards().items():
    (FOLDER / name).write_text(text, encoding="utf-8")
