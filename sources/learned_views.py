"""Which views a model that draws has been shown, and whether a prompt asks for another one.

A view is learned with its sentence (``sources.drawing``): what begins a prompt and stood before no
training film steers nothing, and a model draws some other view of it, as good a film as any.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from sources.drawing import VIEW_SENTENCES
from sources.selection import SELECTED_BY, Selection

SHOWN_FROM: Final = 5
"""Training examples from which on a view counts as shown. Our choice: one film in a wrong folder
is no view that was learned. How well it was learned is for scores to tell."""
VIEWS: Final = "views"
"""Where ``config.json`` of a stage that draws has its ViewCounts; older stages' have none."""
VIEWS_FILE: Final = "views.json"
"""The same beside the settings of a registered model, whose stage may be an older one."""
ASK_ANOTHER: Final = "ask for one of those, or train on films of that view"
_VIEW: Final = "images.list.element.view"  # the path of a view inside Parquet's columns
_SENTENCES: Final = {
    view: re.compile(r"\s*" + r"\s+".join(map(re.escape, said.rstrip(".").split())) + r"\b", re.I)
    for view, said in VIEW_SENTENCES.items()
}
"""A model may have written the sentence with blanks of its own, or another case."""

ViewCounts = Mapping[str, int]
"""Training examples by the view of their first film, which is the one that is learned."""


def count_views(shards: Iterable[Path], selection: Selection) -> dict[str, int]:
    """Of the examples of training shards that a stage is shown; those without a film are none."""
    found: Counter[str] = Counter()
    for path in shards:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number, columns=[*SELECTED_BY, _VIEW])
                found.update(
                    row["images"][0]["view"]
                    for row in table.to_pylist()
                    if row["images"] and selection.keeps(row)
                )
    return dict(sorted(found.items()))


def read_views(file: Path, key: str | None = None) -> dict[str, int] | None:
    """ViewCounts of a JSON file, or of one key in it; None where it tells none."""
    if not file.is_file():
        return None
    told = json.loads(file.read_text())
    found = told if key is None else told.get(key)
    return None if found is None else {str(view): int(count) for view, count in found.items()}


def asked_view(prompt: str) -> str | None:
    """The view whose sentence a prompt begins with."""
    return parted(prompt)[0]


def parted(prompt: str) -> tuple[str | None, str]:
    """The view that a prompt begins with, and the text behind its sentence."""
    for view, said in _SENTENCES.items():
        if found := said.match(prompt):
            return view, prompt[found.end() :].lstrip(" .")
    return None, prompt


def shown_views(counts: ViewCounts | None) -> tuple[str, ...] | None:
    """The views that were shown; None where nobody knows: there is no record, or none that tells of
    a view, as of films whose files name none."""
    if counts is None:
        return None
    return tuple(view for view in VIEW_SENTENCES if counts.get(view, 0) >= SHOWN_FROM) or None


def is_learned(view: str, counts: ViewCounts | None) -> bool:
    """Whether a film can be asked for by its view: it was shown, or has no sentence, or nobody
    knows."""
    shown = shown_views(counts)
    return shown is None or view not in VIEW_SENTENCES or view in shown


def unlearned_view(prompt: str, counts: ViewCounts | None) -> str | None:
    """The view that a prompt asks for and that was not shown; None where it can be drawn."""
    view = asked_view(prompt)
    return None if view is None or is_learned(view, counts) else view


def told_apart(view: str, counts: ViewCounts | None) -> tuple[str, str]:
    """What was asked for and what the model has been shown, each as part of a line."""
    shown = " and ".join(shown_views(counts) or ())
    return f"a prompt for a {view} film", f"one of a view that this model has been shown: {shown}"
