"""All dashboards as files."""

from __future__ import annotations

import json
from typing import Final

from infra.dashboards.board import Dashboard
from infra.dashboards.flows import FLOWS
from infra.dashboards.language_models import LANGUAGE_MODELS
from infra.dashboards.models import MODELS, STAGES
from infra.dashboards.serving import SERVING
from infra.dashboards.sources import SOURCES
from infra.fingerprint import HOUSE

ALL: Final[tuple[Dashboard, ...]] = (FLOWS, SOURCES, LANGUAGE_MODELS, STAGES, MODELS, SERVING)
FOLDER: Final = HOUSE / "infra" / "deploy" / "grafana" / "dashboards"


def dashboards() -> dict[str, str]:
    """By file name, the JSON of every dashboard."""
    return {
        f"{each.uid}.json": json.dumps(each.to_dict(), indent=1, ensure_ascii=False) + "\n"
        for each in ALL
    }
