"""The page about findings beside impressions: ``consistency.html``, one file, nothing fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.interval_text import difference_text, interval_text
from evaluation.templating import render_page

Row = Mapping[str, Any]
TITLES = {
    "reference": "References: the ceiling",
    "none": "The models",
    "shuffled": "The models, shown another study's films",
    "blank": "The models, shown a blank picture",
}
TOTALS = (
    *("asserted by both", "by the findings alone", "by the impression alone"),
    *("contradictions", "contradicted studies", "studies"),
)
"""What ``totals`` counts, in its order."""


def render_consistency(document: Row) -> str:
    """The page as HTML, from what ``consistency.json`` holds."""
    return render_page(
        "consistency.html.j2", page=document, systems=systems(document), totals=TOTALS
    )


def systems(document: Row) -> list[dict[str, Any]]:
    """One table row for each system: its metrics, their distance to the references', its sums."""
    found: dict[str, dict[str, Any]] = {}
    for row in document["measured"]:
        name = row["system"]
        shown = found.setdefault(
            name, {"title": TITLES[name], "cells": {}, "totals": document["totals"][name]}
        )
        against = row["against"]
        shown["cells"][row["metric"]] = {
            "text": interval_text(row["interval"]),
            "against": "" if against is None else difference_text(against),
        }
    return list(found.values())
