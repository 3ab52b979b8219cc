"""What the scores of drawn films found, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from evaluation.interval_text import difference_text, interval_text, plain

SYSTEMS: Final = {
    "none": "model",
    "untrained": "untrained model",
    "shuffled": "another's prompt",
}
REAL: Final = "real films"
SIDE: Final = "prompted-side-accuracy"
VIEW: Final = "prompted-view-accuracy"


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
    told = [*shares_by(document, SIDE, "sides by finding"), *shares_by(document, VIEW, "views")]
    notes = [f"NOTE: {note}" for note in document["notes"]]
    return "\n".join([head, *_table(document), *told, *notes, *lost, *verdicts(document)])


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
    """By metric that depends on the prompt: the model less each control, paired by prompt."""
    lines = []
    for row in document["differences"]:
        if row["value"] is not None:
            verdict = "beats it" if row["beats"] else "DOES NOT BEAT IT"
            gap = plain(difference_text(row))
            lines.append(
                f"{row['metric']} less that of {SYSTEMS[row['control']]}: {gap}: {verdict}"
            )
    return lines


def shares_by(document: Mapping[str, Any], metric: str, title: str) -> list[str]:
    """Of each finding with a side, or each view, how often the model draws it as asked, and real
    films show it so."""
    lines = []
    for row in document["scores"]:
        if row["control"] == "none" and row["metric"].startswith(f"{metric}["):
            what = row["metric"].removeprefix(f"{metric}[").removesuffix("]")
            cases = row["signature"]["level"]
            own, real = (plain(interval_text(each)) for each in (row, row["real_films"]))
            lines.append(f"  {what:<18}{cases:>10}  {own:<22}  {real}")
    head = f"  {title:<18}{'':>10}  {'model':<22}  {REAL}"
    return [head, *lines] if lines else []
