"""A synthetic MIMIC-Ext-MIMIC-CXR-VQA beside a synthetic MIMIC-CXR tree, whose films it asks about.

Traps: an empty answer list, an answer that is a bare text, a record of an image that no table has,
one with another subject, one without a question, one that repeats an idx, and persons in train and
valid at once. Those of the MIMIC-CXR replica are in its tree.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np

from sources.record import Split
from sources.replicas import mimic_cxr
from sources.replicas.files import write_file
from sources.replicas.mimic_cxr_plan import PlannedImage, PlannedStudy, plan_replica
from sources.replicas.questions import Asked, Asker
from sources.replicas.truth import ReplicaSpec
from sources.replicas.truth_file import TRUTH_FILE

TREE: Final = "mimic-cxr-jpg"
FOLDER: Final = "MIMIC-Ext-MIMIC-CXR-VQA/dataset"
_STEMS: Final = {Split.TRAIN: "train", Split.VALIDATE: "valid", Split.TEST: "test"}
_MOVED_CYCLE: Final = (9, 4)
"""One train study in nine is asked about in valid: persons are then in both, as published."""
KINDS: Final[dict[str, tuple[str, str]]] = {
    "presence": ("presence", "verify"),
    "abnormality": ("abnormality", "query"),
    "in lung": ("anatomy", "query"),
    "side": ("anatomy", "choose"),
    "level": ("attribute", "query"),
    "view": ("plane", "choose"),
    "verify view": ("plane", "verify"),
    "gender": ("gender", "choose"),
    "size": ("size", "verify"),
}
"""Kind of question to content_type and semantic_type."""


def write(root: Path, spec: ReplicaSpec) -> None:
    """Write the replica under ``root``: the MIMIC-CXR tree, and questions about its films."""
    write_tree(root, spec)
    records: dict[str, list[dict[str, Any]]] = {stem: [] for stem in _STEMS.values()}
    for study in plan_replica(spec):
        film = frontal_film(study)
        if film is None:
            continue
        stem = _STEMS[study.split]
        if study.split is Split.TRAIN and study.number % _MOVED_CYCLE[0] == _MOVED_CYCLE[1]:
            stem = "valid"
        for asked in _questions(study, film):
            records[stem].append(_record(stem, len(records[stem]), study, film, asked))
    _set_traps(records["train"])
    for stem, rows in records.items():
        write_file(root / FOLDER / f"{stem}.json", json.dumps(rows, indent=1).encode())
    answers = sorted({text for rows in records.values() for row in rows for text in row["answer"]})
    index = {text: number for number, text in enumerate(answers)}
    write_file(root / FOLDER / "ans2idx.json", json.dumps(index).encode())


def write_tree(root: Path, spec: ReplicaSpec) -> None:
    """The MIMIC-CXR replica in its folder, AP films marked, with its truth file in the root."""
    mimic_cxr.write(root / TREE, spec, portable_marks=True)
    (root / TREE / TRUTH_FILE).rename(root / TRUTH_FILE)


def frontal_film(study: PlannedStudy) -> PlannedImage | None:
    """The study's first film whose ViewPosition says PA or AP."""
    films = (image for image in study.images if image.position in ("PA", "AP"))
    return next(films, None)


def _questions(study: PlannedStudy, film: PlannedImage) -> list[Asked]:
    rng = np.random.default_rng([study.truth.seed, crc32(b"mimic_cxr_vqa")])
    asker = Asker(study.truth, film.view, rng)
    one_of_two = asker.view() if study.number % 2 else asker.verify_view()
    return [
        *asker.presence(),
        *asker.abnormality(),
        *asker.in_lung(),
        *asker.side(),
        *asker.level(),
        *one_of_two,
        *asker.gender(),
        *asker.size(),
    ]


def _record(
    stem: str, number: int, study: PlannedStudy, film: PlannedImage, asked: Asked
) -> dict[str, Any]:
    """One record, key for key as published."""
    content, semantic = KINDS[asked.kind]
    nothing: dict[str, str] = {}
    names = ("object", "attribute", "category", "viewpos", "gender")
    return {
        "split": stem,
        "idx": number,
        "subject_id": study.subject_id,
        "study_id": study.study_id,
        "image_id": film.image_id,
        "image_path": film.path.removeprefix("files/"),
        "question": asked.text,
        "semantic_type": semantic,
        "content_type": content,
        "template": asked.kind,
        "template_program": f"program_{list(KINDS).index(asked.kind) + 1}",
        "template_arguments": dict.fromkeys(names, nothing),
        "answer": sorted(asked.answers),
    }


def _set_traps(records: list[dict[str, Any]]) -> None:
    """Damage the last records of train, where a learner misses them least."""
    last = records[-1]
    extra = [{**last, "idx": len(records) + place} for place in range(4)]
    extra[0] |= {"image_id": "-".join(["0" * 8] * 5), "study_id": "59999999"}
    extra[1] |= {"question": " "}
    extra[2] |= {"answer": "yes"}
    extra[3] |= {"idx": last["idx"]}
    records += extra
