"""The page about grounding: ``grounding.html``, one file that fetches nothing.

As on the report's page, what may be shown is the caller's decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation.grounding import Grounding, GroundingDifference, GroundingScore
from evaluation.interval_text import difference_text, interval_text
from evaluation.templating import png_uri, render_page

CONTROL_NAMES = {
    "none": "Own image",
    "shuffled": "Another study's image",
    "uniform": "Uniform map",
    "centre": "Centre prior",
}


@dataclass(frozen=True)
class ShownSentence:
    """One sentence on the page with its two overlays as PNG."""

    source: str
    study_id: str
    text: str
    words: str
    names: tuple[str, ...]
    is_replica: bool
    own_png: bytes
    other_png: bytes | None
    energy: float
    shuffled: float
    pointing: float


@dataclass(frozen=True)
class GroundingPage:
    """Everything on the page."""

    recipe: str
    scale: str
    fingerprint: str
    grounding: Grounding
    shown: Sequence[ShownSentence]
    replicas: frozenset[str]


@dataclass(frozen=True)
class Row:
    """One line of the table of scores: values of each system, and the gains over the baselines."""

    title: str
    metric: str
    sentences: int
    subjects: int
    cells: Mapping[str, str]
    gains: Mapping[str, str]
    excludes: Mapping[str, bool]


Place = tuple[str, str, str, str, str]


def _place(one: GroundingScore | GroundingDifference) -> Place:
    return one.source, one.text, one.group, one.method, one.metric


def score_rows(grounding: Grounding, *, chosen: bool) -> list[Row]:
    """Lines of the chosen method, or of all the others."""
    groups: dict[Place, list[GroundingScore]] = {}
    for score in grounding.scores:
        if (score.method == grounding.choice.name) is chosen:
            groups.setdefault(_place(score), []).append(score)
    gains: dict[Place, list[GroundingDifference]] = {}
    for item in grounding.differences:
        gains.setdefault(_place(item), []).append(item)
    rows = []
    for place, scores in groups.items():
        source, text, group, method, metric = place
        words = [source, text, group] + ([] if chosen else [method])
        found = gains.get(place, [])
        rows.append(
            Row(
                title=" · ".join(words),
                metric=metric,
                sentences=scores[0].signature.examples,
                subjects=scores[0].signature.subjects,
                cells={one.control: interval_text(one.interval) for one in scores},
                gains={one.control: difference_text(one.difference) for one in found},
                excludes={one.control: (one.difference.low or 0) > 0 for one in found},
            )
        )
    return rows


def render_grounding(page: GroundingPage) -> str:
    """The page as HTML; every text of the data is escaped."""
    grounding = page.grounding
    return render_page(
        "grounding.html.j2",
        page=page,
        grounding=grounding,
        names=CONTROL_NAMES,
        rows=score_rows(grounding, chosen=True),
        others=score_rows(grounding, chosen=False),
        png_uri=png_uri,
    )
