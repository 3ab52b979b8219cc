"""What encoders said about every pair of texts: the table that the child process leaves behind.

It holds labels and numbers, no text. Columns of an encoder that was not run are null. Shapes: P
pairs (an example of one system), n pairs of one system.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evaluation.clinical import LabelMatrix, confusion
from evaluation.encoded import POLICIES, Encoded, EncodedSystem, chexbert_family
from evaluation.encoders import (
    BERTSCORE,
    CHEXBERT,
    RADCLIQ_BERTSCORE,
    RADGRAPH,
    RADGRAPH_XL,
    RATESCORE,
)
from evaluation.families import FAMILIES
from evaluation.lexical import REXRANK_PROFILE
from evaluation.metric_cache import MetricCache
from evaluation.radcliq import radcliq
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


def read_encoded(
    folder: Path, predictions: pa.Table, missing: Mapping[str, str], cache: MetricCache | None
) -> Encoded:
    """What ``python -m evaluation.neural`` left in its output folder, as counts per example.

    Args:
        predictions: the table that the child read, for the parts of RadCliQ that need no weights.
        missing: by encoder that was not run, why.

    Raises:
        InputError: the table is not in NEURAL_SCHEMA, or is about other predictions.
    """
    table = pq.read_table(folder / NEURAL_FILE)
    if table.schema.names != NEURAL_SCHEMA.names:
        raise InputError(
            f"{NEURAL_FILE} with columns {', '.join(table.schema.names)}",
            ", ".join(NEURAL_SCHEMA.names),
            _ADVICE,
        )
    keys = ["example_id", "control"]
    if table.select(keys).to_pylist() != predictions.select(keys).to_pylist():
        raise InputError(f"{NEURAL_FILE} of other predictions", "a row for each", _ADVICE)
    about: dict[str, dict[str, str]] = json.loads((folder / ABOUT_FILE).read_text())
    systems = {}
    for control in dict.fromkeys(predictions["control"].to_pylist()):
        own = pc.equal(predictions["control"], control)
        rows, texts = table.filter(own), predictions.filter(own)
        counted = _families(rows, texts, tuple(about), cache)
        systems[control] = EncodedSystem(rows["example_id"].to_pylist(), counted)
    return Encoded(systems, about, dict(missing))


def _families(
    rows: pa.Table, texts: pa.Table, encoders: Sequence[str], cache: MetricCache | None
) -> dict[str, Floats]:
    """(n, K) counts by family of one system."""
    found: dict[str, Floats] = {}
    if CHEXBERT in encoders:
        true, told = (LabelMatrix(_codes(rows, name)) for name in LABELS)
        for policy in POLICIES:
            found[chexbert_family(policy)] = confusion(true, told, policy)
    values = {name: _values(rows, name) for encoder in encoders for name in VALUES[encoder]}
    if all(name in values for name in _RADCLIQ_COLUMNS):
        parts = [values[name] for name in _RADCLIQ_COLUMNS]
        laid = np.stack([*parts, _bleu2(texts, cache)], axis=-1)
        values |= {"radcliq_v0": radcliq(laid, "v0"), "radcliq_v1": radcliq(laid, "v1")}
    return found | {name: _with_ones(each) for name, each in values.items()}


_RADCLIQ_COLUMNS = ("radgraph_v1_yu", "radcliq_bertscore", "semb_score")
"""The parts of RadCliQ that need weights, in the order of ``radcliq.PARTS``; BLEU-2 is the last."""


def _bleu2(texts: pa.Table, cache: MetricCache | None) -> Floats:
    """(n,) ReXrank's sentence BLEU-2."""
    references, predictions = (
        [text or "" for text in texts[side].to_pylist()] for side in ("reference", "prediction")
    )
    return FAMILIES[REXRANK_PROFILE].of(references, predictions, cache)[:, 0]


def _values(rows: pa.Table, name: str) -> Floats:
    return np.array(rows[name].to_pylist(), dtype=np.float64)


def _codes(rows: pa.Table, name: str) -> np.ndarray[Any, np.dtype[np.int8]]:
    return np.array(rows[name].to_pylist(), dtype=np.int8).reshape(rows.num_rows, -1)


def _with_ones(values: Floats) -> Floats:
    """(n, 2) of values (n,) and ones: what ``mean_of`` reads."""
    return np.stack([values, np.ones_like(values)], axis=-1)
