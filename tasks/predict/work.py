"""Generate findings for the test examples, with the image and with each image-blind control."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from infra.artifact import Artifact, build_artifact
from infra.launch import Event
from infra.log import LOGGER
from infra.parent import run_in_child
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.runs import GenerateRun
from sources.prediction import PREDICTION_SCHEMA
from sources.record import Split
from tasks.context import Context
from tasks.train.work import PIECE, example_files, plain_request

PREDICTIONS_PIECE = "test"
PREDICTIONS_FILE = "predictions.parquet"
SOME_FILMS: Final = ("without-first", "first-alone")
"""Controls that hide some of several films: studies that show one film have no row of them."""


def predict(context: Context, on_event: Callable[[Event], None]) -> Artifact:
    """Predictions of the ability's model on the test split."""
    step = context.step("predictions")
    return build_artifact(
        context.store,
        step,
        lambda: {PREDICTIONS_PIECE: ""},
        partial(_predict, context, on_event),
    )


def no_test_examples(context: Context) -> str:
    """Why there is nothing to predict or score, for a person."""
    sources = ", ".join(context.examples.test_sources)
    return f"no test examples of {sources}: see the examples' rejected rows"


def _predict(
    context: Context, on_event: Callable[[Event], None], key: str, folder: Path
) -> BuiltPiece:
    del key
    model = context.artifact(f"stages/{context.asked.stage}")
    step = context.step("predictions")
    scratch = context.store.state / "predictions" / step.fingerprint
    examples = example_files(context, Split.TEST)
    if not examples:
        LOGGER.warning("nothing to predict: %s", no_test_examples(context))
        write_table(folder / PREDICTIONS_FILE, PREDICTION_SCHEMA.empty_table())
        return BuiltPiece((Count("predictions", 0, 0),))
    run = GenerateRun(
        model=model.local_folder(PIECE),
        generate=context.asked.generate,
        examples=examples,
        controls=("none", *context.settings.score.controls),
        plain_request=plain_request(context.examples, context.asked.generate.prompt),
        output=folder,
        scratch=scratch / "parts",
    )
    processes = context.environment.processes_per_node
    facts = run_in_child("models.generate", run, scratch, on_event, processes=processes)
    each_has = sum(pq.ParquetFile(path).metadata.num_rows for path in examples)
    expected = each_has * len(run.controls)
    made = pq.read_table(folder / PREDICTIONS_FILE, columns=["control"])["control"].to_pylist()
    one_film = sum(each_has - made.count(name) for name in run.controls if name in SOME_FILMS)
    lost = {"one-film": one_film} if one_film else {}
    return BuiltPiece((Count("predictions", expected, len(made), lost),), facts)
