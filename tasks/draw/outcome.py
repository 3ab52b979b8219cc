"""What the scores of drawn films found, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from evaluation.interval_text import interval_text, plain

SYSTEMS: Final = {
    "none": "model",
    "untrained": "untrained model",
    "shuffled": "another's prompt",
}
REAL: Final = "real films"


def films_text(document: Mapping[str, Any]) -> str:
    """Every metric of the model beside its controls and real films, what is lacking, and whether
    the model draws what it is asked for."""
    lost = [f"unavailable: {what}: {why}" for what, why in document["unavailable"].items()]
    if not document["prompts"]:
        return "\n".join(["NOT SCORED: no test example is left; the rows above say why", *lost])
    head = (
        f"{document['prompts']:,} prompts of {document['subjects']:,} subjects, films of "
        f"{document['side_px']} px; findings judged: {', '.join(document['findings']) or 'none'}"
    )
    notes = [f"NOTE: {note}" for note in document["notes"]]
    return "\n".join([head, *_table(document), *notes, *lost, *verdicts(document)])


def _table(document: Mapping[str, Any]) -> list[str]:
    cells: dict[str, dict[str, str]] = {}
    for row in document["scores"]:
        if row["is_detail"] or row["value"] is None:
            continue
        own = cells.setdefault(row["metric"], {})
        own[SYSTEMS[row["control"]]] = plain(interval_text(row, row["signature"]["scale"]))
        if row["real_films"] is not None:
            own[REAL] = plain(interval_text(row["real_films"], row["signature"]["scale"]))
    titles = (*SYSTEMS.values(), REAL)
    width = max((len(metric) for metric in cells), default=0)
    lines = ["  ".join(["".ljust(width), *(f"{title:>22}" for title in titles)])]
    for metric, own in cells.items():
        values = (f"{own.get(title, '-'):>22}" for title in titles)
        lines.append("  ".join([metric.ljust(width), *values]))
    return lines


def verdicts(document: Mapping[str, Any]) -> list[str]:
    """By metric that depends on the prompt: does the model's interval lie above each control's?"""
    rows = {(row["metric"], row["control"]): row for row in document["scores"]}
    lines = []
    for (metric, control), row in rows.items():
        own = rows.get((metric, "none"))
        if control == "none" or row["is_detail"] or own is None:
            continue
        if own["low"] is None or row["high"] is None:
            continue
        verdict = "intervals apart" if own["low"] > row["high"] else "NOT APART"
        lines.append(f"{metric} against {SYSTEMS[control]}: {verdict}")
    return lines
