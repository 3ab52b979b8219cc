"""What encoders said about every pair of texts: the table that the child process leaves behind.

It holds labels and numbers, no text. Columns of an encoder that was not run are null. Shapes: P
pairs (an example of one system), N examples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evaluation.clinical import LabelMatrix, confusion
from evaluation.controls import Outputs
from evaluation.encoders import (
    BERTSCORE,
    CHEXBERT,
    ENCODERS,
    RADCLIQ_BERTSCORE,
    RADGRAPH,
    RADGRAPH_XL,
    RATESCORE,
)
from evaluation.statistics import Floats
from infra.errors import InputError

NEURAL_FILE = "neural.parquet"
ABOUT_FILE = "neural.json"

VALUES: Mapping[str, tuple[str, ...]] = {
    CHEXBERT: ("semb_score",),
    RADGRAPH: ("radgraph_v1_partial", "radgraph_v1_yu"),
    RADGRAPH_XL: (
        "radgraph_xl_simple",
        "radgraph_xl_partial",
        "radgraph_xl_complete",
        "radgraph_xl_yu",
    ),
    BERTSCORE: ("bertscore",),
    RADCLIQ_BERTSCORE: ("radcliq_bertscore",),
    RATESCORE: ("ratescore",),
}
"""Columns with one number per pair, by encoder."""

LABELS = ("chexbert_reference", "chexbert_prediction")
_CODES = pa.list_(pa.int8())

NEURAL_SCHEMA = pa.schema(
    [
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("control", pa.string(), nullable=False),
        *(pa.field(name, _CODES) for name in LABELS),
        *(pa.field(name, pa.float64()) for names in VALUES.values() for name in names),
    ]
)
"""Labels are CheXbert's 14 class numbers in the order of ``OBSERVATIONS``."""

_ADVICE = "score the predictions again"


@dataclass(frozen=True)
class NeuralReadings:
    """The encoders' table; ``about`` tells each encoder that was run by field and value (the
    sha256 of its weights among them), ``missing`` why each other one was not."""

    table: pa.Table
    about: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


NOT_READ = NeuralReadings(
    NEURAL_SCHEMA.empty_table(), missing=dict.fromkeys(ENCODERS, "no encoder is run here")
)
"""Where texts are compared without encoders."""


def read_readings(folder: Path, missing: Mapping[str, str]) -> NeuralReadings:
    """What ``python -m evaluation.neural`` left in its output folder.

    Raises:
        InputError: the table is not in NEURAL_SCHEMA.
    """
    table = pq.read_table(folder / NEURAL_FILE)
    if table.schema.names != NEURAL_SCHEMA.names:
        raise InputError(
            f"{NEURAL_FILE} with columns {', '.join(table.schema.names)}",
            ", ".join(NEURAL_SCHEMA.names),
            _ADVICE,
        )
    about = json.loads((folder / ABOUT_FILE).read_text())
    return NeuralReadings(table, about, dict(missing))


def chexbert_family(policy: str) -> str:
    """Name of CheXbert's confusion counts under one policy for uncertain labels."""
    return f"chexbert-{policy}"


def neural_families(readings: NeuralReadings, outputs: Outputs, control: str) -> dict[str, Floats]:
    """Counts (N, K) of one system by family; examples that it did not write are zero.

    Raises:
        InputError: an example of the system has no row.
    """
    if not readings.about:
        return {}
    rows = _rows(readings.table, outputs, control)
    places = outputs.written[control].rows
    size = len(outputs.example_ids)
    families: dict[str, Floats] = {}
    if CHEXBERT in readings.about:
        true, told = (LabelMatrix(_codes(rows, name)) for name in LABELS)
        families[chexbert_family("negative")] = _spread(
            confusion(true, told, "negative"), places, size
        )
        families[chexbert_family("positive")] = _spread(
            confusion(true, told, "positive"), places, size
        )
    for encoder in readings.about:
        for name in VALUES[encoder]:
            values = np.array([row[name] for row in rows], dtype=np.float64)
            families[name] = _spread(with_ones(values), places, size)
    return families


def with_ones(values: Floats) -> Floats:
    """(n, 2) of values (n,) and ones: what ``mean_of`` reads."""
    return np.stack([values, np.ones_like(values)], axis=-1)


def _codes(rows: list[dict[str, Any]], name: str) -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
    return np.array([row[name] for row in rows], dtype=np.int8).reshape(len(rows), -1)


def _rows(table: pa.Table, outputs: Outputs, control: str) -> list[dict[str, Any]]:
    """One row for each example that the system wrote, in the order of ``Written.rows``."""
    named = {row["example_id"]: row for row in table.to_pylist() if row["control"] == control}
    wanted = [outputs.example_ids[place] for place in outputs.written[control].rows]
    absent = [name for name in wanted if name not in named]
    if absent:
        raise InputError(
            f"{len(absent)} examples of '{control}' without encoder readings (first {absent[0]})",
            "a row for each prediction",
            _ADVICE,
        )
    return [named[name] for name in wanted]


def _spread(counts: Floats, places: Any, size: int) -> Floats:
    full = np.zeros((size, counts.shape[1]))
    full[places] = counts
    return full
