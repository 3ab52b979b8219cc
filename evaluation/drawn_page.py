"""The page about drawn films: ``report.html`` of an ability of kind draw; it fetches nothing.

What a page may show is the caller's decision: pictures come only of replicas and open data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from evaluation.contact_sheet import TITLES, SheetRow, film_png
from evaluation.image_quality import AUROC, REPORT, SIDE, VIEW
from evaluation.interval_text import ends_text, interval_text, number_text
from evaluation.prompted_findings import SEEN_FROM
from evaluation.report import LossCurve
from evaluation.report_plots import loss_plot
from evaluation.report_views import funnel_groups
from evaluation.templating import png_uri, render_page
from evaluation.unavailable import by_reason
from sources.funnel import FunnelRow

SYSTEMS: Final = {
    "none": "The model",
    "untrained": "Untrained model",
    "shuffled": "Another's prompt",
}
REAL: Final = "Real films"
ALONE: Final = "-seen"
"""The end of a metric's name that counts only what the judge tells on real films."""
HEADLINES: Final = (
    f"{AUROC}-macro",
    f"{AUROC}-macro{ALONE}",
    SIDE,
    f"{SIDE}{ALONE}",
    VIEW,
    f"{REPORT}-micro",
)
"""What says whether the films show what was asked for."""
Row = dict[str, Any]


@dataclass(frozen=True)
class DrawnPage:
    """What the page shows.

    Args:
        document: what ``scores.json`` holds.
        sheet: prompts with their films, of sources whose pictures may be shown.
    """

    recipe: str
    scale: str
    ability: str
    made_on: str
    fingerprints: Mapping[str, str]
    funnel: Sequence[FunnelRow]
    losses: Mapping[str, LossCurve]
    document: Mapping[str, Any]
    replicas: frozenset[str]
    sheet: Sequence[SheetRow] = ()


def render_drawn(page: DrawnPage) -> str:
    """The page as HTML; every text of the data is escaped."""
    scores = page.document["scores"]
    return render_page(
        "drawn.html.j2",
        page=page,
        told=page.document,
        systems=SYSTEMS,
        real=REAL,
        seen_from=SEEN_FROM,
        verdicts=verdicts(page.document),
        rows=table_rows(scores, is_detail=False),
        findings=table_rows(scores, is_detail=True),
        unavailable=by_reason(page.document["unavailable"]),
        signatures=[
            (row["metric"], _signature(row["signature"]))
            for row in scores
            if row["control"] == "none" and row["value"] is not None
        ],
        titles=TITLES,
        sheet=[_card(row) for row in page.sheet],
        funnel=funnel_groups(page.funnel),
        loss_plot=Markup(loss_plot(page.losses)) if page.losses else None,
    )


def verdicts(document: Mapping[str, Any]) -> list[Row]:
    """Headlines of the model less each control, paired by prompt; of what the judge sees alone only
    where that is another number."""
    values = {(row["metric"], row["control"]): row["value"] for row in document["scores"]}
    return [
        {
            "metric": row["metric"],
            "control": SYSTEMS[row["control"]],
            "model": number_text(values[row["metric"], "none"]),
            "other": number_text(values[row["metric"], row["control"]]),
            "gain": number_text(row["value"], signed=True),
            "span": ends_text(row, signed=True),
            "beats": row["beats"],
            "loses": row["loses"],
        }
        for metric in HEADLINES
        for row in document["differences"]
        if row["metric"] == metric and row["value"] is not None
        if not metric.endswith(ALONE)
        or values[metric, "none"] != values[metric.removesuffix(ALONE), "none"]
    ]


def table_rows(scores: Sequence[Mapping[str, Any]], *, is_detail: bool) -> list[Row]:
    """A row for each metric: its value for the model, both controls and real films."""
    found: dict[str, Row] = {}
    for row in scores:
        if row["is_detail"] is not is_detail or row["value"] is None:
            continue
        own = found.setdefault(row["metric"], {"metric": row["metric"], "cells": {}, "real": None})
        scale = row["signature"]["scale"]
        own["cells"][row["control"]] = interval_text(row, scale)
        if row["control"] == "none" and row["real_films"] is not None:
            own["real"] = interval_text(row["real_films"], scale)
        own["better"] = "higher" if row["higher_is_better"] else "lower"
    return list(found.values())


def _signature(fields: Mapping[str, Any]) -> str:
    return "|".join(f"{name}:{value}" for name, value in fields.items() if name != "metric")


def _card(row: SheetRow) -> Row:
    read = ", ".join(f"{name} {number_text(value)}" for name, value in row.read.items())
    return {"row": row, "films": [png_uri(film_png(each)) for each in row.films], "read": read}
