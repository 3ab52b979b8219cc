"""What is true of a synthetic chest: the findings that pixels, labels, boxes and text follow.

A ``Person`` has a build that stays; a ``ChestTruth`` is one examination of that person. Everything
about a chest, its pixel noise included, follows from the truth: equal truths give equal pixels.
Left and right are the patient's; zones are thirds of the lung's height.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from zlib import crc32

import numpy as np

from sources.record import OBSERVATIONS, LabelValue, View

Side = Literal["left", "right", "bilateral"]
Zone = Literal["upper", "middle", "lower"]
Severity = Literal["small", "moderate", "large"]
Style = Literal["free", "template"]

FINDING_NAMES: tuple[str, ...] = (
    "cardiomegaly", "enlarged mediastinum", "pleural effusion", "pneumothorax", "consolidation",
    "lung opacity", "nodule", "edema", "atelectasis", "pleural thickening", "rib fracture",
    "support device", "foreign object",
)  # fmt: skip

DEVICE_KINDS = ("endotracheal tube", "central line", "pacemaker", "chest tube")
OBJECT_KINDS = ("coin", "button", "pin", "necklace")
ATELECTASIS_KINDS = ("linear", "lobar")
CONSOLIDATION_KINDS = ("pneumonia", "possible pneumonia")

OBSERVATION_OF: dict[str, str] = {
    "cardiomegaly": "Cardiomegaly",
    "enlarged mediastinum": "Enlarged Cardiomediastinum",
    "pleural effusion": "Pleural Effusion",
    "pneumothorax": "Pneumothorax",
    "consolidation": "Consolidation",
    "lung opacity": "Lung Opacity",
    "nodule": "Lung Lesion",
    "edema": "Edema",
    "atelectasis": "Atelectasis",
    "pleural thickening": "Pleural Other",
    "rib fracture": "Fracture",
    "support device": "Support Devices",
}
"""A foreign object has no counterpart among the 14: it neither sets nor cancels one."""

_WEIGHTS = np.array([15, 4, 17, 9, 11, 10, 8, 7, 10, 4, 5, 9, 2], dtype=np.float64)
"""Relative rates in FINDING_NAMES' order. Our choice: the order of CheXpert's positive counts
(source_formats 4), with rare findings raised so that a few hundred studies hold each of them."""

_COUNTS = (0.60, 0.28, 0.12)
"""Chance of 1, 2, 3 findings in an abnormal chest; mean 1.52. Our choice."""

NORMAL_RATE = 0.30
"""Share of chests without any finding. Our choice."""


@dataclass(frozen=True)
class Habitus:
    """A person's build; every number lies in 0..1 and is neutral at 0.5.

    ``heart`` is the ratio of heart to thorax without cardiomegaly, 0.40 to 0.48 (below 0.5 is
    normal on a PA film).
    """

    width: float
    height: float
    fat: float
    rib_slope: float
    rib_phase: float
    clavicle: float
    bone: float
    breast: float
    aorta: float
    scoliosis: float
    heart: float


@dataclass(frozen=True)
class Person:
    """One subject of a replica; ``sex`` is ``F`` or ``M``, ``age`` in years at the first study."""

    number: int
    age: int
    sex: str
    habitus: Habitus


@dataclass(frozen=True)
class TrueFinding:
    """One finding.

    ``kind`` refines the name: which device or object, ``linear`` or ``lobar`` atelectasis,
    consolidation that the text calls ``pneumonia`` or ``possible pneumonia`` (None: plain).
    ``lateral_only`` findings leave no trace on frontal views. ``persists`` says that the previous
    study of the same person showed it too.
    """

    name: str
    side: Side | None = None
    zone: Zone | None = None
    severity: Severity | None = None
    kind: str | None = None
    lateral_only: bool = False
    persists: bool = False


@dataclass(frozen=True)
class ChestTruth:
    """One examination: ``study`` counts a person's studies from 1; ``views`` in file order."""

    person: Person
    study: int
    seed: int
    views: tuple[View, ...]
    findings: tuple[TrueFinding, ...]
    wording: Style = "free"

    @property
    def is_normal(self) -> bool:
        return not self.findings

    @property
    def age(self) -> int:
        """Age in years at this study; studies of one person lie about half a year apart."""
        return self.person.age + (self.study - 1) // 2

    def find(self, name: str) -> TrueFinding | None:
        """The finding of that name, if it is there."""
        return next((item for item in self.findings if item.name == name), None)

    def visible_in(self, view: View) -> tuple[TrueFinding, ...]:
        """Findings that may leave a trace in that view; some leave none on a lateral one."""
        return tuple(f for f in self.findings if not (f.lateral_only and view.is_frontal))


@dataclass(frozen=True)
class ReplicaSpec:
    """How much of a replica to write.

    Args:
        studies: number of studies; the source's traps (bad rows and files) come with them.
        seed: equal seeds give equal bytes.
        side_px: short side of the frontal images in px.
        processes: how many processes draw; the result does not depend on it.
        wording: free dictation, or one sentence per fact in a fixed order, as a template has it.
        superfluous: share of studies with views that are no help (copies, another person's, turned
            ones, more than four), in replicas of studies with all their views (``rrg24``).
        drawn: a tree that the owner of the same persons wrote from an equal spec, if there is one:
            films that are the same there are copied; the result does not depend on it.
    """

    studies: int
    seed: int = 0
    side_px: int = 256
    processes: int = 1
    wording: Style = "free"
    superfluous: float = 0.0
    drawn: Path | None = None


def draw_person(rng: np.random.Generator, number: int) -> Person:
    """A person with a random build; bone density falls with age."""
    age = int(np.clip(rng.normal(56, 19), 18, 94))
    sex = "F" if rng.random() < 0.5 else "M"
    unit = rng.random(10)
    return Person(
        number=number,
        age=age,
        sex=sex,
        habitus=Habitus(
            width=float(unit[0] * (0.8 if sex == "F" else 1.0)),
            height=float(unit[1]),
            fat=float(unit[2]),
            rib_slope=float(unit[3]),
            rib_phase=float(unit[4]),
            clavicle=float(unit[5]),
            bone=float(np.clip(1.1 - age / 110 + 0.3 * (unit[6] - 0.5), 0, 1)),
            breast=float(0.4 + 0.6 * unit[7]) if sex == "F" else 0.0,
            aorta=float(np.clip((age - 20) / 80 + 0.2 * (unit[8] - 0.5), 0, 1)),
            scoliosis=float(unit[9]),
            heart=float(rng.uniform(0.40, 0.48)),
        ),
    )


def draw_truth(
    rng: np.random.Generator,
    person: Person | None = None,
    views: Sequence[View] | None = None,
    *,
    previous: ChestTruth | None = None,
    require: str | None = None,
    exclude: Collection[str] = (),
) -> ChestTruth:
    """One examination.

    Args:
        person: who; by default a new person, or that of ``previous``.
        views: by default PA, AP, or PA with LATERAL, in about the shares of MIMIC-CXR.
        previous: the person's last study; a finding of it stays with chance 0.5.
        require: name of a finding that must be there; only one that stays from ``previous`` and
            cannot stand beside it keeps it out.
        exclude: names of findings that must not.
    """
    person = previous.person if previous else person or draw_person(rng, 0)
    views = tuple(views) if views is not None else _draw_views(rng)
    found = [_persisting(f) for f in (previous.findings if previous else ()) if rng.random() < 0.5]
    found = [
        f for f in found if f.name not in exclude and (View.LATERAL in views or not f.lateral_only)
    ]
    wanted = 0 if rng.random() < NORMAL_RATE else 1 + int(rng.choice(3, p=_COUNTS))
    names = _draw_names(rng, wanted, exclude)
    if require is not None and require not in {f.name for f in found}:
        names = [require, *(name for name in names[:2] if name != require)]
    for name in names:
        finding = _draw_finding(rng, name, View.LATERAL in views)
        if all(_compatible(finding, other) for other in found):
            found.append(finding)
    return ChestTruth(
        person=person,
        study=previous.study + 1 if previous else 1,
        seed=int(rng.integers(2**62)),
        views=views,
        findings=tuple(sorted(found, key=lambda f: FINDING_NAMES.index(f.name))),
    )


def draw_cohort(
    spec: ReplicaSpec,
    source: str,
    *,
    views: Sequence[View] | None = None,
    studies_per_subject: float = 1.0,
    require: tuple[str, float] | None = None,
    exclude: Collection[str] = (),
) -> list[ChestTruth]:
    """``spec.studies`` examinations, those of one person next to each other and in order of time.

    Args:
        source: name of the replica; two replicas of one seed share no chest.
        studies_per_subject: mean number; the numbers follow a geometric distribution.
        require: a finding's name and the share of studies that must have it (the others may).
        exclude: findings that this source cannot hold.
    """
    rng = np.random.default_rng([spec.seed, crc32(source.encode())])
    truths: list[ChestTruth] = []
    number = 0
    while len(truths) < spec.studies:
        number += 1
        person = draw_person(rng, number)
        previous: ChestTruth | None = None
        for _ in range(int(rng.geometric(1.0 / studies_per_subject))):
            must = require[0] if require and rng.random() < require[1] else None
            previous = draw_truth(
                rng, person, views, previous=previous, require=must, exclude=exclude
            )
            truths.append(previous)
    return [replace(truth, wording=spec.wording) for truth in truths[: spec.studies]]


def observations(
    truth: ChestTruth,
    negated: Collection[str] | None = None,
    uncertain: Collection[str] = (),
) -> dict[str, LabelValue]:
    """The 14 observations, in their order.

    Args:
        truth: the chest. Each finding sets the observation of its own name only (consolidation
            does not set Lung Opacity), as labels made from report text do.
        negated: observations that the text denies: absent ones outside it are unmentioned. By
            default every absent one is negative.
        uncertain: observations that are there but that the text leaves in doubt.

    ``Support Devices`` does not cancel ``No Finding``; any other positive or uncertain one does.
    """
    values = dict.fromkeys(
        OBSERVATIONS, LabelValue.NEGATIVE if negated is None else LabelValue.UNMENTIONED
    )
    values.update(dict.fromkeys(negated or (), LabelValue.NEGATIVE))
    for finding in truth.findings:
        if finding.name in OBSERVATION_OF:
            values[OBSERVATION_OF[finding.name]] = LabelValue.POSITIVE
        if finding.kind == "pneumonia":
            values["Pneumonia"] = LabelValue.POSITIVE
        if finding.kind == "possible pneumonia":
            values["Pneumonia"] = LabelValue.UNCERTAIN
    values.update(dict.fromkeys(uncertain, LabelValue.UNCERTAIN))
    stated = (LabelValue.POSITIVE, LabelValue.UNCERTAIN)
    is_clear = not any(
        value in stated
        for name, value in values.items()
        if name not in ("Support Devices", "No Finding")
    )
    absent = LabelValue.NEGATIVE if negated is None else LabelValue.UNMENTIONED
    values["No Finding"] = LabelValue.POSITIVE if is_clear else absent
    return values


def _draw_views(rng: np.random.Generator) -> tuple[View, ...]:
    choices = ((View.PA,), (View.AP,), (View.PA, View.LATERAL))
    return choices[int(rng.choice(3, p=(0.2, 0.4, 0.4)))]


def _draw_names(rng: np.random.Generator, count: int, exclude: Collection[str]) -> list[str]:
    weights = np.where([name in exclude for name in FINDING_NAMES], 0.0, _WEIGHTS)
    picked = rng.choice(len(FINDING_NAMES), size=count, replace=False, p=weights / weights.sum())
    return [FINDING_NAMES[index] for index in picked]


def _persisting(finding: TrueFinding) -> TrueFinding:
    values = {**finding.__dict__, "persists": True}
    return TrueFinding(**values)


def _draw_finding(rng: np.random.Generator, name: str, has_lateral: bool) -> TrueFinding:
    side = _draw_side(rng, name)
    if has_lateral and name in ("pleural effusion", "nodule") and rng.random() < 0.2:
        return TrueFinding(name, None, "lower", "small", lateral_only=True)
    zone = _draw_zone(rng, name)
    kind = _draw_kind(rng, name)
    if name == "support device":
        side = _device_side(rng, kind)
    if kind == "necklace":
        side, zone = None, None
    return TrueFinding(name, side, zone, _draw_severity(rng, name), kind)


def _draw_side(rng: np.random.Generator, name: str) -> Side | None:
    if name in ("cardiomegaly", "enlarged mediastinum"):
        return None
    if name == "edema":
        return "bilateral"
    both = {"pleural effusion": 0.25, "lung opacity": 0.2, "atelectasis": 0.15}.get(name, 0.0)
    if rng.random() < both:
        return "bilateral"
    return "left" if rng.random() < 0.5 else "right"


def _draw_zone(rng: np.random.Generator, name: str) -> Zone | None:
    if name in ("consolidation", "lung opacity", "nodule", "rib fracture", "foreign object"):
        zones: tuple[Zone, ...] = ("upper", "middle", "lower")
        return zones[int(rng.choice(3, p=(0.3, 0.3, 0.4)))]
    if name == "pleural thickening":
        return "upper"
    return "lower" if name == "atelectasis" else None


def _draw_severity(rng: np.random.Generator, name: str) -> Severity | None:
    if name in ("cardiomegaly", "pleural effusion", "pneumothorax", "edema"):
        degrees: tuple[Severity, ...] = ("small", "moderate", "large")
        return degrees[int(rng.choice(3, p=(0.4, 0.35, 0.25)))]
    if name == "nodule":
        return "small" if rng.random() < 0.6 else "large"
    return None


def _draw_kind(rng: np.random.Generator, name: str) -> str | None:
    if name == "support device":
        return DEVICE_KINDS[int(rng.choice(4, p=(0.25, 0.35, 0.3, 0.1)))]
    if name == "foreign object":
        return OBJECT_KINDS[int(rng.integers(4))]
    if name == "atelectasis":
        return ATELECTASIS_KINDS[int(rng.integers(2))]
    if name == "consolidation" and rng.random() < 0.6:
        return CONSOLIDATION_KINDS[int(rng.random() < 0.4)]
    return None


def _device_side(rng: np.random.Generator, kind: str | None) -> Side | None:
    if kind == "endotracheal tube":
        return None
    towards_left = {"pacemaker": 0.85, "central line": 0.25}.get(kind or "", 0.5)
    return "left" if rng.random() < towards_left else "right"


def _compatible(one: TrueFinding, other: TrueFinding) -> bool:
    """Whether both can be told apart on one film."""
    if one.name == other.name:
        return False
    same_side = one.side == other.side or "bilateral" in (one.side, other.side)
    names = {one.name, other.name}
    if names == {"pleural effusion", "pneumothorax"} or names == {
        "pneumothorax",
        "pleural thickening",
    }:
        return not same_side
    in_lung = {"consolidation", "lung opacity", "nodule", "atelectasis"}
    if names <= in_lung:
        return not same_side or one.zone != other.zone
    pair = (one, other) if one.name in ("pleural effusion", "pneumothorax") else (other, one)
    if pair[0].name in ("pleural effusion", "pneumothorax") and pair[1].name in in_lung:
        return not same_side or (pair[0].severity == "small" and pair[1].zone == "middle")
    return names not in ({"edema", "lung opacity"}, {"edema", "consolidation"})
