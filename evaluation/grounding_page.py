"""The page about grounding: ``grounding.html``, one file that fetches nothing.

As on the report's page, what may be shown is the caller's decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evaluation.grounding import Grounding, GroundingDifference, GroundingScore
from evaluation.grounding_choice import way_of
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
    """One line of the table of scores: values of each system, and the gains over the baselines;
    ``excludes`` says by baseline that the gain's interval lies above zero."""

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
    """Lines of the chosen method, each with its unsharpened maps beside it; or of all others."""
    plain = way_of((grounding.choice.method, 1.0))
    own = {grounding.choice.name, plain}
    groups: dict[Place, list[GroundingScore]] = {}
    for score in grounding.scores:
        if (score.method in own) is chosen:
            groups.setdefault(_place(score), []).append(score)
    gains: dict[Place, list[GroundingDifference]] = {}
    for item in grounding.differences:
        gains.setdefault(_place(item), []).append(item)
    rows = []
    for place in _beside(groups, grounding.choice.name) if chosen else list(groups):
        source, text, group, method, metric = place
        words = [source, text, group]
        if not chosen:
            words.append(method)
        elif method != grounding.choice.name:
            words.append("unsharpened")
        scores = groups[place]
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


def _beside(places: Iterable[Place], first: str) -> list[Place]:
    """Lines of one source, text, group and metric together, the method ``first`` before others."""
    found = list(places)
    lines = list(dict.fromkeys((*place[:3], place[4]) for place in found))
    return sorted(found, key=lambda p: (lines.index((*p[:3], p[4])), p[3] != first))


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
        power=f"{grounding.choice.sharpness:g}",
        png_uri=png_uri,
    )
