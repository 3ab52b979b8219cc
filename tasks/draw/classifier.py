"""Train the classifier of findings on real films of an ability's set; it judges what is drawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from infra.artifact import Artifact, build_artifact
from infra.errors import InputError
from infra.film_runs import ClassifyRun
from infra.launch import Event
from infra.pieces import BuiltPiece, Count
from sources.record import Split
from tasks.context import Context
from tasks.films.work import label_films, train_classifier
from tasks.train.work import example_files

PIECE: Final = "classifier"
_LOOKS: Final = 12  # our choice: as often as the measured one looked at validate


def build_classifier(context: Context, on_event: Callable[[Event], None]) -> Artifact:
    """The trained classifier, its configuration and its losses on validate."""
    return build_artifact(
        context.store,
        context.step("classifiers"),
        lambda: {PIECE: ""},
        partial(_train, context, on_event),
    )


def _train(
    context: Context, on_event: Callable[[Event], None], key: str, folder: Path
) -> BuiltPiece:
    from evaluation.film_targets import TARGETS

    del key
    asked = context.asked.films.classifier
    scratch = context.store.state / "classifiers" / context.step("classifiers").fingerprint
    splits = (Split.TRAIN, Split.VALIDATE)
    train, validate = (example_files(context, split) for split in splits)
    for split, files in zip(splits, (train, validate), strict=True):
        if not files:
            raise InputError(
                f"no {split} examples of the set {context.asked.examples}",
                "films that a classifier can learn from, and others to look at",
                "give more data, or sources with that split",
            )
    films = label_films([*train, *validate], scratch / "labels.parquet")
    run = ClassifyRun(
        train_films=train,
        validate_films=validate,
        labels=scratch / "labels.parquet",
        targets=TARGETS,
        **asked.model_dump(),
        validate_steps=max(1, asked.steps // _LOOKS),
        output=folder,
    )
    train_classifier(run, scratch, on_event)
    return BuiltPiece((Count("films", films, films),))
