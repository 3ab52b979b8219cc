"""The MIMIC-CXR member of RRG24, built by the organisers' rules from one's own MIMIC-CXR-JPG tree.

Their rules: sections come from ``mimic_cxr_sectioned.csv`` (what MIMIC-CXR's own sectioning script
writes), with every run of white space as one space; images are those of the official split's train
rows, grouped by study in the order of first appearance; within a study they go by the rank of their
view, ties in the order of the table, and views without a rank are left out; the studies are
shuffled by Python's ``Random(42)``, and of the shuffled order the last 2.5 % (rounded down) are the
validation part. Studies without either section take part in the shuffle.

``digest`` is the organisers' own check of the result, over the JSON that their script writes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from infra.errors import SourceError
from sources.record import Split
from sources.table_bytes import is_there
from sources.tables import read_csv

MEMBER: Final = "MIMIC-CXR"
SECTIONS_FILE: Final = "mimic_cxr_sectioned.csv"
METADATA: Final = "mimic-cxr-2.0.0-metadata.csv"
SPLITS: Final = "mimic-cxr-2.0.0-split.csv"
VIEW_ORDER: Final = (
    "PA", "AP", "LATERAL", "LL", "AP AXIAL", "AP LLD", "AP RLD", "PA RLD", "PA LLD", "LAO", "RAO",
    "LPO", "XTABLE LATERAL", "SWIMMERS", "",
)  # fmt: skip
"""Rank of a ViewPosition (rrg24 1.4)."""
SEED: Final = 42
VALIDATION_SHARE: Final = 0.025
DIGESTS: Final = {
    Split.TRAIN: "20b1899b841efa8c53ca02ddd17bc038205b926b11b85a70b39b7c7df5aa5c3e",
    Split.VALIDATE: "6b6421b248674d89d8b61ca5beed7db4f26b707a4c7294a34bba5b02fe38f3ae",
}
"""SHA-256 of the organisers' files, made from the whole of MIMIC-CXR-JPG 2.0.0."""


@dataclass(frozen=True)
class MimicFilm:
    """One image and its ViewPosition; None where the metadata does not list it."""

    image_id: str
    position: str | None


@dataclass(frozen=True)
class MimicStudy:
    """One study of the member, with texts as the organisers have them (``""`` where absent).

    ``films`` are in the organisers' order; ``left_out`` have a view without rank, or no row of
    metadata.
    """

    subject_id: str
    study_id: str
    split: Split
    films: tuple[MimicFilm, ...]
    left_out: tuple[MimicFilm, ...]
    findings: str
    impression: str

    def path(self, image_id: str) -> str:
        """Where an image lies, below the tree."""
        folder = f"files/p{self.subject_id[:2]}/p{self.subject_id}/s{self.study_id}"
        return f"{folder}/{image_id}.jpg"


def build_mimic(
    tree: Path,
    *,
    view_order: Sequence[str] = VIEW_ORDER,
    seed: int = SEED,
    validation_share: float = VALIDATION_SHARE,
) -> list[MimicStudy]:
    """The studies of the member: those of train in their shuffled order, then validation's.

    Args:
        tree: holds the three tables, each also ``.gz``.

    Raises:
        SourceError: a table that is missing or cannot be read.
    """
    views = read_positions(tree)
    texts = _texts(tree)
    rank = {position: place for place, position in enumerate(view_order)}
    studies = []
    for (subject, study), dicoms in _train_studies(tree).items():
        films = [MimicFilm(dicom, views.get(dicom)) for dicom in dicoms]
        ranked = [film for film in films if film.position in rank]
        findings, impression = texts.get(f"s{study}", ("", ""))
        studies.append(
            MimicStudy(
                subject_id=subject,
                study_id=study,
                split=Split.TRAIN,
                films=tuple(sorted(ranked, key=lambda film: rank[film.position or ""])),
                left_out=tuple(film for film in films if film.position not in rank),
                findings=findings,
                impression=impression,
            )
        )
    return _split(studies, seed, validation_share)


def _split(studies: list[MimicStudy], seed: int, share: float) -> list[MimicStudy]:
    order = list(range(len(studies)))
    Random(seed).shuffle(order)
    first_held = len(order) - int(len(order) * share)
    return [
        MimicStudy(
            **{
                **studies[index].__dict__,
                "split": Split.TRAIN if place < first_held else Split.VALIDATE,
            }
        )
        for place, index in enumerate(order)
    ]


def read_positions(tree: Path) -> dict[str, str]:
    """ViewPosition by image id; ``""`` where it is blank."""
    rows = _columns(tree, METADATA, "dicom_id", "ViewPosition")
    return {dicom: position or "" for dicom, position in rows if dicom}


def digest(studies: Iterable[MimicStudy]) -> str:
    """SHA-256 of the organisers' JSON of these studies, to be compared with DIGESTS."""
    rows = []
    for study in studies:
        paths = [study.path(film.image_id) for film in study.films]
        rows.append(
            {
                "findings": study.findings,
                "images": paths,
                "images_path": paths,
                "impression": study.impression,
                "source": MEMBER,
            }
        )
    text = json.dumps(rows, ensure_ascii=False, indent=2, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def differing_parts(
    studies: Sequence[MimicStudy], expected: Mapping[Split, str] = DIGESTS
) -> dict[Split, str]:
    """The digests of the parts that are not as expected, by part."""
    found = {part: digest([study for study in studies if study.split is part]) for part in expected}
    return {part: own for part, own in found.items() if own != expected[part]}


def _train_studies(tree: Path) -> dict[tuple[str, str], list[str]]:
    """Images of (subject, study) in the official train split, all in the table's order."""
    found: dict[tuple[str, str], list[str]] = {}
    for dicom, study, subject, split in _columns(
        tree, SPLITS, "dicom_id", "study_id", "subject_id", "split"
    ):
        if split == "train" and dicom and study and subject:
            found.setdefault((subject, study), []).append(dicom)
    return found


def _texts(tree: Path) -> dict[str, tuple[str, str]]:
    """Findings and impression by ``s<study>``."""
    rows = _columns(tree, SECTIONS_FILE, "study", "findings", "impression")
    return {
        study or "": (_spaced(findings or ""), _spaced(impression or ""))
        for study, findings, impression in rows
    }


def _spaced(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _columns(tree: Path, name: str, *columns: str) -> list[tuple[str | None, ...]]:
    """Rows of a table that lies there plain or packed."""
    path = next((tree / n for n in (name, f"{name}.gz") if is_there(tree / n)), None)
    if path is None:
        raise SourceError(
            f"no {name} (or .gz) in {tree}",
            "the tables that the MIMIC-CXR member of RRG24 is built from",
            "write mimic_cxr_sectioned.csv with MIMIC-CXR's sectioning script, or take the tree "
            "out of the root to read the other members alone",
        )
    table = read_csv(path, columns)
    return list(zip(*(table[column].to_pylist() for column in columns), strict=True))
