"""What the RRG24 replica holds, before a pixel is drawn: members, parts, views and what is planted.

Of a study with frontal and lateral views neither tells all: a third of them have a finding that the
lateral alone shows, and half of the other findings are on the frontal ones alone, so that a model
that reads one view is seen to miss what the other shows. Persons have their studies in any part, as
the task's split is by study. Every rate without a source is our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar
from zlib import crc32

import numpy as np

from sources.record import Split, View
from sources.replicas.traps import spread
from sources.replicas.truth import (
    FINDING_NAMES,
    ChestTruth,
    ReplicaSpec,
    TrueFinding,
    draw_person,
    draw_truth,
)
from sources.rrg24_mimic import MEMBER as MIMIC

MEMBERS: Final = {
    MIMIC: 0.35,
    "CheXpert": 0.25,
    "PadChest": 0.2,
    "BIMCV-COVID19": 0.1,
    "OpenI": 0.1,
}
"""Shares of the studies."""
PARTS: Final = {"train": 0.7, "validation": 0.1, "test-public": 0.12, "test-hidden": 0.08}
"""Shares of the parts outside of MIMIC-CXR; more is held out than in the task, where a few studies
must do."""
MIMIC_SPLITS: Final = {Split.TRAIN: 0.9, Split.VALIDATE: 0.05, Split.TEST: 0.05}
VIEWS: Final = {
    (View.PA, View.LATERAL): 0.6,
    (View.PA,): 0.1,
    (View.AP,): 0.15,
    (View.PA, View.LATERAL, View.AP): 0.15,
}
LATERAL_ONLY: Final = 0.35
"""Of the studies with a lateral view."""
FRONTAL_ONLY: Final = 0.5
"""Of the findings of a study with a lateral view that it does not hold alone."""
TRACELESS: Final = ("rib fracture", "pleural thickening")
"""Findings that no lateral view shows, whatever is drawn by lot."""
MORE_STUDIES: Final = 0.2
"""Chance that a person comes again."""
KINDS: Final = ("duplicate", "stranger", "rotated", "many")
"""Of superfluous views; ``many`` adds four at once."""
TRAPS: Final = ("no-image", "no-bytes", "truncated", "same-path", "spaces")
MIMIC_TRAPS: Final = ("unranked", "no-metadata", "missing", "blank-sections")


Name = TypeVar("Name")


@dataclass(frozen=True)
class PlannedView:
    """One image: ``truth`` is what it shows of the chest, ``kind`` None for a view of the study,
    else what was planted."""

    truth: ChestTruth
    view: View
    kind: str | None = None


@dataclass(frozen=True)
class PlannedReport:
    """One study; ``number`` counts from 0, ``part`` is a part or an official MIMIC-CXR split, and
    ``frontal_only`` names the findings that its lateral view does not show."""

    number: int
    member: str
    part: str
    truth: ChestTruth
    views: tuple[PlannedView, ...]
    trap: str | None
    frontal_only: tuple[str, ...] = ()


def plan_replica(spec: ReplicaSpec) -> list[PlannedReport]:
    """All studies, in an order that has nothing to do with part or member."""
    rng = np.random.default_rng([spec.seed, crc32(b"rrg24 plan")])
    truths = _truths(spec, rng)
    members = _shares(rng, MEMBERS, len(truths))
    places = {
        is_mimic: [i for i, member in enumerate(members) if (member == MIMIC) is is_mimic]
        for is_mimic in (True, False)
    }
    parts = dict(zip(places[False], _shares(rng, PARTS, len(places[False])), strict=True)) | dict(
        zip(places[True], map(str, _shares(rng, MIMIC_SPLITS, len(places[True]))), strict=True)
    )
    traps = {
        places[is_mimic][place]: trap
        for is_mimic, names in ((True, MIMIC_TRAPS), (False, TRAPS))
        for place, trap in spread(names, len(places[is_mimic])).items()
        if place < len(places[is_mimic])
    }
    planned = []
    for number, truth in enumerate(truths):
        hidden = _frontal_only(truth)
        planned.append(
            PlannedReport(
                number=number,
                member=members[number],
                part=parts[number],
                truth=truth,
                views=tuple(_view(truth, view, hidden) for view in truth.views),
                trap=traps.get(number),
                frontal_only=hidden,
            )
        )
    return _with_superfluous(planned, spec.superfluous, rng)


def _frontal_only(truth: ChestTruth) -> tuple[str, ...]:
    """The findings that the study's lateral view does not show; none where it has no such view."""
    if View.LATERAL not in truth.views:
        return ()
    rng = np.random.default_rng([truth.seed, crc32(b"frontal only")])
    drawn = [(finding, rng.random() < FRONTAL_ONLY) for finding in truth.findings]
    return tuple(
        finding.name
        for finding, is_hidden in drawn
        if not finding.lateral_only and (is_hidden or finding.name in TRACELESS)
    )


def _view(truth: ChestTruth, view: View, frontal_only: Sequence[str]) -> PlannedView:
    """The chest as one view shows it: a lateral one is drawn without what it does not show."""
    if view.is_frontal:
        return PlannedView(truth, view)
    seen = tuple(finding for finding in truth.findings if finding.name not in frontal_only)
    return PlannedView(replace(truth, findings=seen), view)


def _truths(spec: ReplicaSpec, rng: np.random.Generator) -> list[ChestTruth]:
    truths: list[ChestTruth] = []
    person = 0
    while len(truths) < spec.studies:
        views = _pick(rng, VIEWS)
        if truths and rng.random() < MORE_STUDIES:
            truth = draw_truth(rng, views=views, previous=truths[-1], exclude=("foreign object",))
        else:
            person += 1
            chest = draw_person(rng, person)
            truth = draw_truth(rng, chest, views, exclude=("foreign object",))
        if View.LATERAL in views and rng.random() < LATERAL_ONLY:
            truth = _with_lateral_finding(truth, rng)
        truths.append(replace(truth, wording=spec.wording))
    return truths


def _with_lateral_finding(truth: ChestTruth, rng: np.random.Generator) -> ChestTruth:
    """The chest with a small effusion or nodule that its frontal films do not show."""
    name = ("pleural effusion", "nodule")[int(rng.integers(2))]
    others = [finding for finding in truth.findings if finding.name != name]
    hidden = TrueFinding(name, None, "lower", "small", lateral_only=True)
    findings = sorted([*others, hidden], key=lambda f: FINDING_NAMES.index(f.name))
    return replace(truth, findings=tuple(findings))


def _with_superfluous(
    planned: Sequence[PlannedReport], share: float, rng: np.random.Generator
) -> list[PlannedReport]:
    """Plant views in a share of the studies outside of MIMIC-CXR, kind by kind."""
    strangers = [report.truth for report in planned]
    result, count = [], 0
    for report in planned:
        if report.member == MIMIC or report.trap or rng.random() >= share:
            result.append(report)
            continue
        kind = KINDS[count % len(KINDS)]
        count += 1
        other = strangers[int(rng.integers(len(strangers)))]
        while other.person == report.truth.person:
            other = strangers[int(rng.integers(len(strangers)))]
        result.append(replace(report, views=_planted(report, kind, other, rng)))
    return result


def _planted(
    report: PlannedReport, kind: str, other: ChestTruth, rng: np.random.Generator
) -> tuple[PlannedView, ...]:
    """The study's views with the planted ones between them: anywhere, also in front."""
    kinds = ("duplicate", "rotated", "stranger", "duplicate") if kind == "many" else (kind,)
    views = list(report.views)
    for one in kinds:
        truth = other if one == "stranger" else report.truth
        planted = PlannedView(truth, truth.views[0], one)
        views.insert(int(rng.integers(len(views) + 1)), planted)
    return tuple(views)


def _shares(rng: np.random.Generator, shares: dict[Name, float], count: int) -> list[Name]:
    """``count`` names in shuffled order, each about as often as its share."""
    ends = np.round(np.cumsum(list(shares.values())) * count).astype(int)
    names = list(shares)
    ordered = [names[int(np.searchsorted(ends, place, "right"))] for place in range(count)]
    return [ordered[place] for place in rng.permutation(count)]


def _pick(rng: np.random.Generator, shares: dict[Name, float]) -> Name:
    return list(shares)[int(rng.choice(len(shares), p=list(shares.values())))]
