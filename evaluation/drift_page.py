"""A look at drift for readers: Markdown, and a page with a small picture for each quantity.

Both read the document that is kept (``drift.json``), and hold numbers and names alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from evaluation.templating import render_page

NOT_MEDICAL: Final = "Not a medical device: for research and development only."
Document = Mapping[str, Any]


def verdict(document: Document) -> str:
    """``llava_rad version 5: 3 of 120 quantities have drifted``."""
    name = f"{document['model']} version {document['version']}"
    if not document["recent_examples"]:
        return f"{name}: nothing new to look at"
    if not document["level"]:
        return f"{name}: the year's looks are used up, so nothing is judged"
    drifted = sum(test["drifted"] for test in document["tests"])
    what = "no quantity has" if not drifted else f"{drifted} quantities have"
    return f"{name}: {what if drifted != 1 else '1 quantity has'} drifted, of {document['tested']}"


def rate_of(document: Document) -> str:
    """The false-alarm rate in words."""
    return (
        f"at most {document['yearly_rate']:.3g} false alarms a year over "
        f"{document['looks_per_year']} looks; level of this look {document['level']:.2g}, "
        "Holm-corrected over its tests"
    )


def as_markdown(document: Document) -> str:
    """Scores of both windows, and what has drifted."""
    lines = [
        f"# {verdict(document)}",
        "",
        NOT_MEDICAL,
        "",
        f"Stated rate: {rate_of(document)}.",
        "",
    ]
    lines += ["| source | metric | when judged | recently |", "|---|---|---|---|"]
    for score in document["scores"]:
        both = (interval(score[window]) for window in ("reference", "recent"))
        lines.append(f"| {score['source']} | {score['metric']} | {' | '.join(both)} |")
    drifted = _surest_first(document)
    if drifted:
        lines += ["", "| source | quantity | when judged | recently | p (Holm) |"]
        lines += ["|---|---|---|---|---|"]
        lines += [
            f"| {test['source']} | {test['quantity']} | {number(test['reference'])} | "
            f"{number(test['recent'])} | {test['p_holm']:.1e} |"
            for test in drifted
        ]
    for what, names in (("new", "only_recent"), ("without new studies", "only_reference")):
        if document[names]:
            lines += ["", f"Sources that are {what}: {', '.join(document[names])}."]
    return "\n".join(lines) + "\n"


def _surest_first(document: Document) -> list[Mapping[str, Any]]:
    drifted = [test for test in document["tests"] if test["drifted"]]
    return sorted(drifted, key=lambda test: test["p_holm"])


def render_drift(document: Document) -> str:
    """The page as HTML, one file, nothing fetched."""
    tests = sorted(
        document["tests"], key=lambda test: (not test["drifted"], test["source"], test["quantity"])
    )
    return render_page(
        "drift.html.j2",
        document=document,
        title=verdict(document),
        rate=rate_of(document),
        tests=[{**test, "bar": bar(test)} for test in tests],
        number=number,
        interval=interval,
    )


def number(value: float | None) -> str:
    """Three digits; nothing where there is no figure."""
    return "" if value is None else f"{value:.3g}"


def interval(values: list[float | None]) -> str:
    """``0.532 [0.498, 0.561]``; ``unknown`` of nothing."""
    value, low, high = values
    if value is None:
        return "unknown"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


BAR_PX: Final = 120


def bar(test: Mapping[str, Any]) -> tuple[float, float] | None:
    """Both windows' figures on a line of BAR_PX, from zero to the larger; None without them."""
    both = (test["reference"], test["recent"])
    if None in both or max(map(abs, both)) == 0:
        return None
    most = max(map(abs, both))
    return tuple(round(BAR_PX * abs(value) / most, 1) for value in both)
