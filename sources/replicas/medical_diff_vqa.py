"""A synthetic Medical-Diff-VQA beside a synthetic MIMIC-CXR tree, whose films it asks about.

Traps: a reference that was taken later (release 1.0.0), one that is in no table, an id with ``.0``,
a row of an unknown type, one without an answer, and a study that is not in ``mimic_all.csv``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np

from sources.medical_diff_vqa import FILMS, QUESTIONS
from sources.record import OBSERVATIONS, LabelValue, Split
from sources.replicas.files import write_file
from sources.replicas.mimic_cxr_plan import PlannedStudy, plan_replica
from sources.replicas.mimic_cxr_vqa import frontal_film, write_tree
from sources.replicas.questions import Asked, Asker
from sources.replicas.truth import ReplicaSpec, observations

_SPLITS: Final = {Split.TRAIN: "train", Split.VALIDATE: "val", Split.TEST: "test"}
_VIEWS: Final = {"PA": "postero-anterior", "AP": "antero-posterior"}
_NUMBERS: Final = {LabelValue.POSITIVE: "1.0", LabelValue.NEGATIVE: "0.0"}
Row = Sequence[object]


def write(root: Path, spec: ReplicaSpec) -> None:
    """Write the replica under ``root``."""
    write_tree(root, spec)
    studies = [study for study in plan_replica(spec) if frontal_film(study)]
    rows: list[Row] = []
    before: PlannedStudy | None = None
    for study in studies:
        earlier = before if before and before.subject_id == study.subject_id else None
        rows += [_row(study, earlier, asked) for asked in _questions(study, earlier)]
        before = study
    rows += _traps(studies, rows)
    columns = ("study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split")
    write_file(root / QUESTIONS, _table(columns, rows))
    write_file(root / FILMS, _films(studies))
    write_file(root / "all_diseases.json", json.dumps([_diseases(s) for s in studies]).encode())


def _questions(study: PlannedStudy, earlier: PlannedStudy | None) -> list[Asked]:
    film = frontal_film(study)
    assert film is not None
    rng = np.random.default_rng([study.truth.seed, crc32(b"medical_diff_vqa")])
    asker = Asker(study.truth, film.view, rng)
    listed = [asked for asked in asker.abnormality() if asked.answers]
    found = [
        *listed, *asker.presence(), *asker.view(), *asker.location(), *asker.level(), *asker.type()
    ]  # fmt: skip
    if earlier is not None:
        old = frontal_film(earlier)
        assert old is not None
        found += asker.difference(earlier.truth, old.view)
    return found


def _row(study: PlannedStudy, earlier: PlannedStudy | None, asked: Asked) -> Row:
    answer = f"{asked.answers[0]} view" if asked.kind == "view" else ", ".join(asked.answers)
    reference = earlier.study_id if earlier else ""
    ids = (study.study_id, study.subject_id, reference)
    return (*ids, asked.kind, asked.text, answer, _SPLITS[study.split])


def _traps(studies: Sequence[PlannedStudy], rows: Sequence[Row]) -> list[Row]:
    """Rows to append; each differs from a sound one in one thing."""
    plain = [str(cell) for cell in rows[0]]
    changed: list[Row] = [
        (f"{plain[0]}.0", f"{plain[1]}.0", "", *plain[3:]),
        (*plain[:3], "colour", *plain[4:]),
        (*plain[:5], "", plain[6]),
        ("59999999", *plain[1:]),
        (*plain[:2], "58888888", "difference", *plain[4:]),
    ]
    for one, other in pairwise(studies):
        if one.subject_id == other.subject_id:
            reversed_ids = (one.study_id, one.subject_id, other.study_id)
            changed.append(
                (*reversed_ids, "difference", plain[4], "nothing has changed.", _SPLITS[one.split])
            )
            break
    return changed


def _films(studies: Sequence[PlannedStudy]) -> bytes:
    """One row per study: its labels, and the one film that questions are about."""
    names = sorted(OBSERVATIONS)
    columns = (
        *("subject_id", "study_id", *names),
        *("dicom_id", "view", "split", "study_date", "study_order"),
    )
    rows: list[Row] = []
    for study in studies:
        film = frontal_film(study)
        assert film is not None
        labels = observations(study.truth)
        rows.append(
            (
                *(study.subject_id, study.study_id),
                *(_NUMBERS.get(labels[name], "") for name in names),
                *(film.image_id, _VIEWS[film.position], _SPLITS[study.split]),
                *(f"{study.day:%Y%m%d}", study.truth.study),
            )
        )
    return _table(columns, rows)


def _diseases(study: PlannedStudy) -> dict[str, Any]:
    """What the publisher took from the report: here, what is true."""
    entities = {
        finding.name: {
            "entity_name": finding.name,
            "location": [finding.side] if finding.side else None,
            "type": [finding.kind] if finding.kind else None,
            "level": [finding.severity] if finding.severity else None,
            **dict.fromkeys(("post_location", "location2", "type2", "level2", "post_location2")),
        }
        for finding in study.truth.findings
    }
    ids = {"study_id": study.study_id, "subject_id": study.subject_id}
    return {**ids, "entity": entities, "no_entity": []}


def _table(columns: Row, rows: Sequence[Row]) -> bytes:
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue().encode()
