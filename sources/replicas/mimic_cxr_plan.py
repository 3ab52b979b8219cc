"""What the MIMIC-CXR replica holds, before a pixel is drawn: persons, ids, dates and traps.

Traps stand at fixed places, so that a replica of 24 studies has one of each and a large one has
them at a steady rate; the rates are our choice, near the real ones where those are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final
from zlib import crc32

import numpy as np

from sources.record import Split, View
from sources.replicas.truth import ChestTruth, ReplicaSpec, draw_cohort

_STUDIES_PER_SUBJECT: Final = 2.0
"""Our choice; MIMIC-CXR has 3.5 (227,835 studies of 64,588 subjects), too few subjects here."""
_TEST_SHARE: Final = 0.19
_VALIDATE_SHARE: Final = 0.10
"""Of the studies. Our choice: 1,100 studies leave over 170 frontal test studies with findings;
the real shares are 1.4 and 0.8 %."""

REPORT_CYCLE: Final = 40
REPORT_TRAPS: Final[dict[int, str]] = {
    1: "addendum",
    4: "no findings",
    7: "misspelt headers",
    10: "lower-case header",
    13: "empty second findings",
    16: "findings and impression",
    19: "last paragraph",
    22: "no report",
}
"""Study number modulo REPORT_CYCLE to the report's trap; one study in ten has no findings."""

_DICOM_CYCLE: Final = (8, 5)
"""One study in eight lies there as DICOM instead of JPEG."""
_FILE_CYCLE: Final = (10, 3)
"""One report in ten lies beside its study as a file instead of in the archive."""
_BLANK_VIEW_CYCLE: Final = (40, 9)
"""2.5 % of images; blank in 4 % of MIMIC-CXR-JPG."""
_RARE_VIEWS: Final = {11: "AP AXIAL", 44: "PA LLD", 87: "LAO"}
_RARE_CYCLE: Final = 120
_WRONG_PROCEDURE_CYCLE: Final = (7, 2)
"""AP films under a PA procedure: 15 % of all AP films in MIMIC-CXR-JPG (22,043 of 147,169)."""
TRUNCATED_JPEG: Final = 6
MISSING_JPEG: Final = 16
"""Numbers of the JPEGs that are cut in half and left out."""
IMAGELESS_STUDY: Final = 21
UNLABELLED_STUDY: Final = 2
BLANK_LABELS_STUDY: Final = 5
"""Numbers of the studies without an image, without a label row and with an empty one."""


@dataclass(frozen=True)
class PlannedImage:
    """One image: ``position`` is its ViewPosition in the table, ``view`` what is drawn."""

    image_id: str
    view: View
    position: str
    procedure: str
    path: str
    is_dicom: bool
    trap: str | None


@dataclass(frozen=True)
class PlannedStudy:
    """One study; ``number`` counts from 0 and decides the traps."""

    number: int
    subject_id: str
    study_id: str
    split: Split
    truth: ChestTruth
    day: date
    seconds: float
    images: tuple[PlannedImage, ...]
    report_trap: str | None

    @property
    def folder(self) -> str:
        """``files/p10/p10999999``: reports lie there, images one folder below."""
        return f"files/p{self.subject_id[:2]}/p{self.subject_id}"

    @property
    def is_report_file(self) -> bool:
        return self.number % _FILE_CYCLE[0] == _FILE_CYCLE[1]


def plan_replica(spec: ReplicaSpec) -> list[PlannedStudy]:
    """All studies of the replica, those of one person next to each other."""
    rng = np.random.default_rng([spec.seed, crc32(b"mimic_cxr plan")])
    truths = draw_cohort(
        spec, "mimic_cxr", studies_per_subject=_STUDIES_PER_SUBJECT, exclude=("foreign object",)
    )
    persons = list(dict.fromkeys(truth.person.number for truth in truths))
    subject_ids = dict(zip(persons, _distinct(rng, len(persons), 10_000_000), strict=True))
    study_ids = _distinct(rng, len(truths), 50_000_000)
    splits = _split_persons(rng, truths)
    first_days = {
        person: date(2110, 1, 1) + timedelta(days=int(rng.integers(90 * 365))) for person in persons
    }
    counters = _Counters()
    planned = []
    for number, truth in enumerate(truths):
        person = truth.person.number
        day = first_days[person] + timedelta(days=(truth.study - 1) * 182 + int(rng.integers(60)))
        study = PlannedStudy(
            number=number,
            subject_id=subject_ids[person],
            study_id=study_ids[number],
            split=splits[person],
            truth=truth,
            day=day,
            seconds=float(np.round(rng.uniform(0, 86_399), 3)),
            images=(),
            report_trap=REPORT_TRAPS.get(number % REPORT_CYCLE),
        )
        planned.append(_with_images(study, rng, counters))
    return planned


@dataclass
class _Counters:
    images: int = 0
    jpegs: int = 0
    portables: int = 0


def _distinct(rng: np.random.Generator, count: int, first: int) -> list[str]:
    """``count`` distinct numbers of eight digits from ``first`` to ``first`` + 9,999,999."""
    picked = rng.choice(10_000_000, size=count, replace=False)
    return [str(first + int(value)) for value in picked]


def _split_persons(rng: np.random.Generator, truths: list[ChestTruth]) -> dict[int, Split]:
    """Whole persons until a split has its share of the studies: test first, then validate."""
    sizes: dict[int, int] = {}
    for truth in truths:
        sizes[truth.person.number] = sizes.get(truth.person.number, 0) + 1
    quota = {Split.TEST: _TEST_SHARE * len(truths), Split.VALIDATE: _VALIDATE_SHARE * len(truths)}
    splits: dict[int, Split] = {}
    for person in rng.permutation(list(sizes)).tolist():
        split = next((name for name, left in quota.items() if left > 0), Split.TRAIN)
        splits[person] = split
        if split in quota:
            quota[split] -= sizes[person]
    return splits


def _with_images(
    study: PlannedStudy, rng: np.random.Generator, counters: _Counters
) -> PlannedStudy:
    is_dicom = study.number % _DICOM_CYCLE[0] == _DICOM_CYCLE[1]
    images = []
    for view in () if study.number == IMAGELESS_STUDY else study.truth.views:
        image_id = "-".join(rng.bytes(4).hex() for _ in range(5))
        trap = None
        if not is_dicom:
            trap = {TRUNCATED_JPEG: "truncated", MISSING_JPEG: "missing"}.get(counters.jpegs)
            counters.jpegs += 1
        suffix = "dcm" if is_dicom else "jpg"
        position = _position(view, counters.images)
        counters.portables += position == "AP"
        images.append(
            PlannedImage(
                image_id=image_id,
                view=view,
                position=position,
                procedure=_procedure(view, study, position == "AP" and counters.portables == 1),
                path=f"{study.folder}/s{study.study_id}/{image_id}.{suffix}",
                is_dicom=is_dicom,
                trap=trap,
            )
        )
        counters.images += 1
    return PlannedStudy(**{**study.__dict__, "images": tuple(images)})


def _position(view: View, number: int) -> str:
    """ViewPosition as the table has it."""
    if number % _BLANK_VIEW_CYCLE[0] == _BLANK_VIEW_CYCLE[1]:
        return ""
    if view is View.LATERAL:
        return "LATERAL" if number % 10 < 7 else "LL"
    return _RARE_VIEWS.get(number % _RARE_CYCLE, str(view))


def _procedure(view: View, study: PlannedStudy, is_first: bool) -> str:
    """The first AP film has the trap too, so that it is never left to chance."""
    is_turn = study.number % _WRONG_PROCEDURE_CYCLE[0] == _WRONG_PROCEDURE_CYCLE[1]
    if view is View.AP and not (is_turn or is_first):
        return "CHEST (PORTABLE AP)"
    return "CHEST (PA AND LAT)"
