"""Scores as they were written: the inverse of ``Scores.to_dict``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from evaluation.clinical import LabelScore
from evaluation.scores import FORMAT, Difference, Score, Scores, SystemCounts
from evaluation.signature import Signature
from evaluation.statistics import Interval
from infra.errors import InputError


def scores_from_dict(data: Mapping[str, Any], examples: pa.Table) -> Scores:
    """Scores from their JSON values and their Parquet rows.

    Raises:
        InputError: the values are of another format than this version writes.
    """
    if data.get("format") != FORMAT:
        raise InputError(
            f"scores of format {data.get('format')}", f"format {FORMAT}", "evaluate again"
        )
    return Scores(
        scores=tuple(_score(row) for row in data["scores"]),
        differences=tuple(_difference(row) for row in data["differences"]),
        labels={
            control: [LabelScore(**row) for row in rows] for control, rows in data["labels"].items()
        },
        systems={name: SystemCounts(**counts) for name, counts in data["systems"].items()},
        unavailable=dict(data["unavailable"]),
        studies=data["studies"],
        subjects=data["subjects"],
        examples=examples,
    )


def _interval(row: Mapping[str, Any]) -> Interval:
    return Interval(row["value"], row["low"], row["high"])


def _score(row: Mapping[str, Any]) -> Score:
    return Score(
        row["metric"],
        row["control"],
        _interval(row),
        row["higher_is_better"],
        row["is_detail"],
        Signature(**row["signature"]),
    )


def _difference(row: Mapping[str, Any]) -> Difference:
    return Difference(
        row["metric"],
        row["control"],
        _interval(row),
        _interval(row["ratio"]),
        row["higher_is_better"],
        row["examples"],
    )
