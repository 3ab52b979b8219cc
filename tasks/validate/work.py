"""Validate metrics on a person's ratings, and judges on planted errors; write what was found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaluation.controls import MODEL
from evaluation.meteor_program import find_meteor
from evaluation.validation.harness import Validation, validate
from evaluation.validation.page import as_markdown, as_picture
from evaluation.validation.pair_metrics import (
    NO_TEXTS,
    judge_failures,
    judge_kinds,
    judge_metrics,
    judged_ids,
    meteor_metrics,
    outside_metrics,
    text_metrics,
    unavailable_metrics,
)
from evaluation.validation.ratings import Ratings, read_ratings
from evaluation.validation.rexval import TEXTS_OF, is_rexval, read_rexval
from infra.egress import Egress
from infra.errors import InputError
from infra.parquet import write_table
from infra.settings.environment import Environment
from infra.settings.sections import EncoderSettings
from infra.store import explained_place, make_folder
from sources.catalog import get_source
from tasks.reports.connection import Teacher
from tasks.score.judge import PAIR_SCHEMA, judge_pairs
from tasks.validate.recovery import Recovery, recover_planted, recovery_markdown

RATED = "ratings"
"""What the audit log calls texts of a file whose source is not told; they may not leave."""


@dataclass(frozen=True)
class Asked:
    """What a person wants validated.

    Args:
        place: a CSV, a folder with ``ratings.csv``, or ReXVal's folder.
        judges: models that judge the pairs; none asks none.
        texts_of: the source whose card says where the texts may go; None: nowhere but ReXVal's.
    """

    place: Path
    judges: tuple[str, ...] = ()
    texts_of: str | None = None
    resamples: int = 1000
    seed: int = 3


def validate_metrics(asked: Asked, environment: Environment) -> tuple[Validation, pa.Table | None]:
    """Every metric that is to be had against the raters, and the judges' own rows.

    Raises:
        InputError: the ratings cannot be read, or a source is not known.
        EgressRefused: the texts may not go to the environment's endpoint.
        LanguageModelError: the endpoint failed; finished answers are kept.
        MeteorFailed, Unavailable: METEOR is here and does not work.
    """
    rexval = asked.place.is_dir() and is_rexval(asked.place)
    ratings = read_rexval(asked.place) if rexval else read_ratings(asked.place)
    texts_of = asked.texts_of or (TEXTS_OF if rexval else None)
    judged = _judge(ratings, asked.judges, texts_of, environment)
    metrics = [*text_metrics(ratings.pairs), *outside_metrics(ratings)]
    meteor = find_meteor(EncoderSettings(), environment.weights_root)
    if not isinstance(meteor, str):
        metrics += meteor_metrics(ratings.pairs, meteor)
    kinds, failures = {}, {}
    if judged is not None:
        failures = judge_failures(judged)
        metrics += judge_metrics(judged, ratings.pairs)
        kinds = judge_kinds(judged, ratings.pairs)
    has_texts = any(pair.reference and pair.prediction for pair in ratings.pairs)
    name = "ReXVal" if rexval else asked.place.name
    missing = unavailable_metrics(has_texts, judged is not None, meteor)
    found = validate(name, ratings, metrics, missing, asked.resamples, asked.seed, kinds, failures)
    return found, judged


def _judge(
    ratings: Ratings, judges: Sequence[str], texts_of: str | None, environment: Environment
) -> pa.Table | None:
    """Judged rows of the pairs that have both texts; None where no judge is asked."""
    rule = get_source(texts_of).card.llm_egress if texts_of else Egress.NEVER
    if not judges:
        return None
    rows = [
        {
            "example_id": name,
            "control": MODEL,
            "source": texts_of or RATED,
            "prediction": pair.prediction,
            "reference": pair.reference,
        }
        for name, pair in zip(judged_ids(ratings.pairs), ratings.pairs, strict=True)
        if pair.prediction is not None and pair.reference is not None
    ]
    if not rows:
        raise InputError("ratings without texts", f"what a judge {NO_TEXTS}", "give the texts too")
    with Teacher(environment) as teacher:
        table = pa.Table.from_pylist(rows, schema=PAIR_SCHEMA)
        return judge_pairs(table, judges, teacher.client(*judges), lambda _: rule)


def find_planted(
    judges: Sequence[str], per_cell: int, seed: int, environment: Environment
) -> Recovery:
    """What the judges find of errors planted in replica reports.

    Raises:
        LanguageModelError: the endpoint failed; finished answers are kept.
    """
    with Teacher(environment) as teacher:
        return recover_planted(teacher.client(*judges), judges, per_cell, seed)


def write_validation(folder: Path, found: Validation, judged: pa.Table | None) -> None:
    """``validation.json``, ``.md`` and ``.svg``, and the judged pairs without their texts."""
    make_folder(folder)
    with explained_place(str(folder)):
        _write_json(folder / "validation.json", found.to_dict())
        (folder / "validation.md").write_text(as_markdown(found), encoding="utf-8")
        (folder / "validation.svg").write_text(as_picture(found), encoding="utf-8")
        if judged is not None:
            write_table(folder / "judged.parquet", judged)


def write_recovery(folder: Path, found: Recovery) -> None:
    """``planted.json`` and ``planted.md``."""
    make_folder(folder)
    with explained_place(str(folder)):
        _write_json(folder / "planted.json", found.to_dict())
        (folder / "planted.md").write_text(recovery_markdown(found), encoding="utf-8")


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
