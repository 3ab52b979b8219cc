"""The page about requests, spans and films: ``coherence.html``, one file, nothing fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from evaluation.interval_text import interval_text
from evaluation.templating import render_page

Row = Mapping[str, Any]
TITLES: Final = {
    "reference": "References: the ceiling",
    "none": "The model",
    "shuffled": "The model, held to another's request",
}
FAILURES: Final = {
    "nested": "a tag inside a span",
    "no-start": "a span without its start",
    "no-span": "no span",
    "no-end": "a span without its end",
    "empty": "an empty span",
    "several": "several spans",
    "omits-asked-finding": "omits a finding that was asked for",
    "contradicts-request": "contradicts the request",
    "wrong-side": "says the other side",
    "wrong-view": "is of another view, or of none",
    "wrong-degree": "says another size or severity",
    "view-not-learned": "is of a view that the model which draws has not been shown",
}


def render_coherence(document: Row) -> str:
    """The page as HTML, from what ``coherence.json`` holds; no text of the data is on it."""
    films = document["of_films"]
    return render_page(
        "coherence.html.j2",
        page=document,
        titles=TITLES,
        parts=[
            {"told": told, "title": title, "spans": grid(told["measured"])}
            for title, told in (
                ("In the words of the test set", document),
                ("In words that were held out", document["held_out"]),
            )
            if told["requests"]
        ],
        kinds=FAILURES,
        films=films,
        of_films=[] if films is None else grid(films["measured"]),
        not_drawn="" if films is None else not_drawn(films),
    )


def not_drawn(films: Row) -> str:
    """What became of the requests that have no film."""
    lost = {"without a whole span": films["without_whole_span"]}
    told = films["view_not_learned"].items()
    lost |= {f"of a view that the model has not been shown ({view})": n for view, n in told}
    parts = [f"{count:,} {why}" for why, count in lost.items() if count]
    return ", ".join(parts) or "none without a film"


def grid(measured: Sequence[Row]) -> list[dict[str, Any]]:
    """A row for each metric: its value by system."""
    found: dict[str, dict[str, Any]] = {}
    for row in measured:
        own = found.setdefault(row["metric"], {"metric": row["metric"], "cells": {}})
        own["cells"][row["system"]] = interval_text(row["interval"])
    return list(found.values())
