"""The model beside its image-blind controls: what each wrote, example by example.

A control is the same model and the same examples with another study's image (``shuffled``) or a
blank one (``blank``). A score that a control reaches too owes nothing to pixels, so every metric is
given for both, and differences are paired by example. Of examples that show several films there may
be two more: the first one black (``without-first``) and all others black (``first-alone``), which
tell what of a score the first and what the others give. Shapes: N examples in the order of their
ids.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.errors import InputError

MODEL = "none"
"""The control column's value for the model with its own image."""

IMAGE_BLIND = ("shuffled", "blank")
SOME_FILMS = ("without-first", "first-alone")
CONTROLS = (MODEL, *IMAGE_BLIND, *SOME_FILMS)
COLUMNS = (
    "example_id",
    "source",
    "study_id",
    "subject_id",
    "view",
    "control",
    "image_study_id",
    "prediction",
    "reference",
    "finish_reason",
)


@dataclass(frozen=True)
class Written:
    """What one system wrote.

    ``rows`` (n,) are the examples' places in ``Outputs.example_ids``; the tuples follow ``rows``.
    """

    control: str
    rows: NDArray[np.intp]
    predictions: tuple[str, ...]
    image_study_ids: tuple[str | None, ...]
    cut_short: int

    @property
    def empty(self) -> int:
        return sum(not text.strip() for text in self.predictions)


@dataclass(frozen=True)
class Outputs:
    """N examples, their references, and what the model and each control wrote for them.

    ``studies`` and ``subjects`` are unique over sources; an unknown subject is its study alone.
    """

    example_ids: tuple[str, ...]
    sources: tuple[str, ...]
    study_ids: tuple[str, ...]
    subject_ids: tuple[str | None, ...]
    references: tuple[str, ...]
    written: dict[str, Written]

    @property
    def named_studies(self) -> list[tuple[str, str]]:
        """Source and study of each example."""
        return list(zip(self.sources, self.study_ids, strict=True))

    @property
    def studies(self) -> list[str]:
        return [f"{source}\t{study}" for source, study in self.named_studies]

    @property
    def subjects(self) -> list[str]:
        rows = zip(self.sources, self.subject_ids, self.studies, strict=True)
        return [
            f"{source}\t{subject}" if subject else f"study\t{study}"
            for source, subject, study in rows
        ]


def read_outputs(predictions: pa.Table) -> Outputs:
    """Predictions of the model and of every control that is there, aligned by example.

    Raises:
        InputError: a column is missing, the table has no row of the model, an unknown control, an
            example twice, a control's example that the model has not, or a shuffled example that
            was shown its own study's image (told only where no other source uses its study id).
    """
    _check_columns(predictions)
    rows = predictions.select(list(COLUMNS)).to_pylist()
    by_control: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        _add_row(by_control, row)
    if MODEL not in by_control:
        raise InputError("predictions without a row of control 'none'", "the model's own", _ADVICE)
    own = by_control[MODEL]
    _check_shuffled(list(own.values()), list(by_control.get("shuffled", {}).values()))
    order = sorted(own)
    places = {example_id: place for place, example_id in enumerate(order)}
    kept = [own[example_id] for example_id in order]
    return Outputs(
        tuple(order),
        tuple(row["source"] for row in kept),
        tuple(row["study_id"] for row in kept),
        tuple(row["subject_id"] for row in kept),
        tuple(row["reference"] or "" for row in kept),
        {
            control: _written(control, by_control[control], places)
            for control in CONTROLS
            if control in by_control
        },
    )


_ADVICE = "generate the predictions again"


def _check_columns(predictions: pa.Table) -> None:
    missing = [name for name in COLUMNS if name not in predictions.column_names]
    if missing:
        raise InputError(f"predictions without column '{missing[0]}'", ", ".join(COLUMNS), _ADVICE)


def _add_row(by_control: dict[str, dict[str, dict[str, Any]]], row: dict[str, Any]) -> None:
    control, example_id = row["control"], row["example_id"]
    if control not in CONTROLS:
        raise InputError(f"control '{control}'", f"one of {', '.join(CONTROLS)}", _ADVICE)
    known = by_control.setdefault(control, {})
    if example_id in known:
        raise InputError(
            f"example '{example_id}' twice for control '{control}'", "each example once", _ADVICE
        )
    known[example_id] = row


def _check_shuffled(own: list[dict[str, Any]], shuffled: list[dict[str, Any]]) -> None:
    users = Counter(study for _, study in {(row["source"], row["study_id"]) for row in own})
    for row in shuffled:
        if row["image_study_id"] == row["study_id"] and users[row["study_id"]] == 1:
            raise InputError(
                f"shuffled example '{row['example_id']}' shown its own study",
                "another study's image",
                _ADVICE,
            )


def _written(control: str, rows: dict[str, dict[str, Any]], places: dict[str, int]) -> Written:
    alien = sorted(set(rows) - set(places))
    if alien:
        raise InputError(
            f"example '{alien[0]}' of control '{control}' alone", "the model's examples", _ADVICE
        )
    order = sorted(rows)
    kept = [rows[example_id] for example_id in order]
    return Written(
        control,
        np.array([places[example_id] for example_id in order], dtype=np.intp),
        tuple(row["prediction"] or "" for row in kept),
        tuple(row["image_study_id"] for row in kept),
        sum(row["finish_reason"] == "length" for row in kept),
    )
