"""Score the answers of an ability of kind vqa beside its controls, and write their page."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from infra.artifact import Artifact, build_artifact
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from tasks.context import Context
from tasks.examples.question_shards import QUESTIONS_FILE
from tasks.predict.work import PREDICTIONS_FILE, no_test_examples
from tasks.score.work import EXAMPLES_FILE, PAGE_FILE, PIECE, SCORES_FILE

if TYPE_CHECKING:
    from evaluation.answer_scores import AnswerScores

FILES: Final = (SCORES_FILE, EXAMPLES_FILE, PAGE_FILE)


def score_answers(context: Context) -> Artifact:
    """Scores with intervals by question type, one row per question and system, ``report.html``."""
    return build_artifact(
        context.store, context.step("scores"), lambda: {PIECE: ""}, partial(_score, context)
    )


def _score(context: Context, key: str, folder: Path) -> BuiltPiece:
    from evaluation.answer_scores import nothing_answered, score_predicted

    del key
    settings = context.settings.score
    predictions = _table(context.artifact(f"predictions/{context.ability}"), PREDICTIONS_FILE)
    if predictions.num_rows:
        questions = _table(context.artifact(f"examples/{context.asked.examples}"), QUESTIONS_FILE)
        scores = score_predicted(
            predictions,
            questions,
            settings.bootstrap_resamples,
            settings.seed,
            context.asked.generate.max_new_tokens,
        )
    else:
        scores = nothing_answered(no_test_examples(context))
    _write(context, scores, folder)
    answered = sum(counts["examples"] for counts in scores.systems.values())
    facts = {"tracked": scores.tracked(), "unavailable": dict(scores.unavailable)}
    return BuiltPiece((Count("answers scored", answered, answered),), facts)


def _table(artifact: Artifact, name: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(name)])


def _write(context: Context, scores: AnswerScores, folder: Path) -> None:
    from evaluation.answer_page import render_answers
    from tasks.score.answers_page import make_answers_page

    (folder / SCORES_FILE).write_text(json.dumps(scores.to_dict(), indent=1) + "\n")
    write_table(folder / EXAMPLES_FILE, scores.examples())
    (folder / PAGE_FILE).write_text(render_answers(make_answers_page(context, scores)))
