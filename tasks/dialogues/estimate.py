"""How many calls of a language model a source's dialogues would take, at what price and time."""

from __future__ import annotations

from typing import Final

import pyarrow.parquet as pq

from infra.llm.request import ChatRequest
from infra.settings.dialogues import DialogueRoute
from tasks.context import Context
from tasks.dialogues.routes import piece_requests
from tasks.dialogues.work import piece_pairs
from tasks.reports.estimate import (
    SAMPLED_STUDIES,
    Estimate,
    TaskEstimate,
    estimate_requests,
    total,
)

TOKENS_OUT: Final[dict[DialogueRoute, int]] = {"converse": 200, "request": 120}
"""Output tokens of one answer by route, until sizes have been observed. Our measurement on the
replicas, four characters to a token: five questions with answers; a request with a report's
findings."""


def estimate_dialogues(context: Context, name: str) -> Estimate:
    """What the source's routes would ask that no stored answer settles."""
    pairs = list(piece_pairs(context, name).values())
    rows = [pq.read_metadata(studies).num_rows for studies, _ in pairs]
    routes = context.settings.dialogues.routes[name]
    found: dict[DialogueRoute, dict[str, ChatRequest]] = {route: {} for route in routes}
    read = 0
    for (studies_path, reports_path), number in zip(pairs, rows, strict=True):
        if read >= SAMPLED_STUDIES:
            break
        studies, reports = pq.read_table(studies_path), pq.read_table(reports_path)
        for route in routes:
            asked = piece_requests(studies, reports, route, context.settings)
            found[route].update((item.identity(), item) for item in asked)
        read += number
    scale = sum(rows) / read if read else 1.0
    return total([_of_route(context, route, found[route], scale) for route in routes])


def _of_route(
    context: Context, route: DialogueRoute, requests: dict[str, ChatRequest], scale: float
) -> TaskEstimate:
    return estimate_requests(context, route, requests, TOKENS_OUT[route], scale)
