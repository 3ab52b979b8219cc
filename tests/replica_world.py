"""Replicas as a stranger opens them: the standard library, pydicom and PIL; none of our readers."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sources.record import Reading, Study, study_from_row
from sources.replicas.truth import ReplicaSpec

Row = dict[str, str]
Truth = dict[str, Any]
OBSERVATIONS = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)
"""Written out here, so that a slip in ``sources.record`` shows."""
NUMBER_OF_WORD = {"positive": 1.0, "negative": 0.0, "uncertain": -1.0, "unmentioned": None}
"""Values of the truth file as the CheXpert labeler's numbers."""


@dataclass(frozen=True)
class World:
    """One replica: its folder, what our reader yields, and the truth file by study."""

    root: Path
    reading: Reading
    studies: dict[str, Study]
    truth: dict[str, Truth]

    @property
    def rejected(self) -> dict[str, str]:
        """Reason by row id, of images and studies."""
        rows = self.reading.rejected.to_pylist()
        return {row["row_id"]: row["reason"] for row in rows if row["level"] != "text"}


def make_world(name: str, root: Path, spec: ReplicaSpec, **options: Any) -> World:
    """Write the replica of that source and read it."""
    import_module(f"sources.replicas.{name}").write(root, spec, **options)
    return world_of(name, root)


def world_of(name: str, root: Path) -> World:
    """A replica that is already there."""
    reading: Reading = import_module(f"sources.{name}").read(root)
    found = [study_from_row(row) for row in reading.studies.to_pylist()]
    lines = map(json.loads, (root / ".truth.jsonl").read_text().splitlines())
    return World(
        root,
        reading,
        {study.study_id: study for study in found},
        {line["study_id"]: line for line in lines},
    )


def header_of(path: Path) -> list[str]:
    """The first line's cells, byte-order mark and all."""
    return next(csv.reader(io.StringIO(_text(path))))


def rows_of(path: Path) -> list[Row]:
    """All rows as dictionaries of text; lines are closed by a line feed alone."""
    text = _text(path)
    assert "\r" not in text
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True))


def _text(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


@dataclass(frozen=True)
class Picture:
    """What PIL says of a file; ``mode`` is ``L`` for 8-bit grey and ``I;16`` for 16-bit."""

    format: str
    mode: str
    width: int
    height: int
    values: NDArray[Any]


def picture_of(data: bytes) -> Picture | None:
    """The picture, or None where PIL cannot decode all of it."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return Picture(image.format or "", image.mode, *image.size, np.asarray(image))
    except (OSError, SyntaxError):
        return None


def labels_of(study: Study) -> dict[str, float]:
    """The study's labels as the CheXpert labeler's numbers."""
    numbers = {str(item.observation): NUMBER_OF_WORD[str(item.value)] for item in study.labels}
    return {name: value for name, value in numbers.items() if value is not None}


def stated(words: dict[str, str]) -> dict[str, float]:
    """The same of a truth line's ``labels``; unmentioned ones are left out."""
    numbers = {name: NUMBER_OF_WORD[word] for name, word in words.items()}
    return {name: value for name, value in numbers.items() if value is not None}


def cells_stated(row: Row, columns: dict[str, str] | None = None) -> dict[str, float]:
    """The same of a table's row; ``columns`` renames a column to its observation."""
    renamed = {(columns or {}).get(name, name): cell for name, cell in row.items()}
    return {name: float(renamed[name]) for name in OBSERVATIONS if renamed[name] != ""}
