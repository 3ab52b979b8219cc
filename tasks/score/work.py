"""Judge and score predictions, and write the page about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from infra.artifact import Artifact, build_artifact
from infra.launch import Event
from infra.log import LOGGER
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.workers import workers_of
from sources.catalog import get_source
from sources.record import Split
from tasks.context import Context
from tasks.predict.work import PREDICTIONS_FILE, no_test_examples
from tasks.reports.connection import Teacher
from tasks.score.facts import example_facts
from tasks.score.neural import encode
from tasks.score.teachers import teachers_of
from tasks.score.truths import true_states
from tasks.train.work import example_files

if TYPE_CHECKING:
    from evaluation.encoded import Encoded
    from evaluation.metric_cache import MetricCache
    from evaluation.scores import Scores
    from evaluation.slices import Slices

PIECE = "scores"
SCORES_FILE = "scores.json"
EXAMPLES_FILE = "examples.parquet"
COUNTS_FILE = "counts.parquet"
SLICES_FILE = "slices.json"
JUDGED_FILE = "judged.parquet"
PAGE_FILE = "report.html"


def score(context: Context, teacher: Teacher, on_progress: Callable[[int, int], None]) -> Artifact:
    """Scores with intervals, the judged pairs, one row per example, the counts that scores are
    computed from, and ``report.html``."""
    step = context.step("scores")
    build = partial(_score, context, teacher, on_progress)
    return build_artifact(context.store, step, lambda: {PIECE: ""}, build)


def scores_of(context: Context) -> dict[str, float]:
    """The model's scores by ``control/metric``, as numbers for a registry; those of abilities but
    the stage's first are named ``ability/control/metric``."""
    found = _tracked_of(context)
    for other in context.settings.abilities_of(context.asked.stage):
        if other != context.ability:
            named = _tracked_of(context.doing(other))
            found |= {f"{other}/{name}": value for name, value in named.items()}
    return found


def _tracked_of(context: Context) -> dict[str, float]:
    artifact = context.artifact(f"scores/{context.ability}")
    tracked: dict[str, float] = artifact.pieces[0].facts["tracked"]
    return tracked


def unavailable_of(context: Context) -> dict[str, str]:
    """By name of each metric without a number, why: of all abilities of the stage."""
    found: dict[str, str] = {}
    for name in context.settings.abilities_of(context.asked.stage):
        found |= _unavailable_of(context.doing(name))
    return found


def _unavailable_of(context: Context) -> dict[str, str]:
    artifact = context.artifact(f"scores/{context.ability}")
    unavailable: dict[str, str] = artifact.pieces[0].facts["unavailable"]
    return unavailable


def _score(
    context: Context,
    teacher: Teacher,
    on_progress: Callable[[int, int], None],
    key: str,
    folder: Path,
) -> BuiltPiece:
    from evaluation.judged import JUDGED_SCHEMA  # two seconds that a cached run never pays
    from evaluation.metric_cache import MetricCache
    from evaluation.parts import Parts
    from evaluation.scores import nothing_scored, score_predictions

    del key
    settings = context.settings.score
    predicted = context.artifact(f"predictions/{context.ability}")
    predictions = pa.concat_tables(
        [pq.read_table(path) for path in predicted.files(PREDICTIONS_FILE)]
    )
    if predictions.num_rows:
        judged = _judge(context, teacher, predictions, on_progress)
        section = context.examples.task
        teachers = teachers_of(context)
        cache = MetricCache.in_state(context.environment.state)
        encoded = _encode(context, predicted.files(PREDICTIONS_FILE), predictions, folder, cache)
        scores = score_predictions(
            predictions, judged, settings, section, teachers, encoded=encoded, cache=cache,
            parts=Parts(workers_of(context.environment)),
            max_new_tokens=context.asked.generate.max_new_tokens, truths=true_states(context),
        )  # fmt: skip
    else:
        judged = JUDGED_SCHEMA.empty_table()
        scores = nothing_scored(no_test_examples(context))
    slices = _slices(context, scores, predictions, judged)
    _write(context, scores, slices, judged, folder)
    count = Count("predictions scored", predictions.num_rows, scores.examples.num_rows)
    facts = {"tracked": scores.tracked(), "unavailable": scores.unavailable}
    return BuiltPiece((count,), facts)


def _encode(
    context: Context,
    files: Sequence[Path],
    predictions: pa.Table,
    folder: Path,
    cache: MetricCache,
) -> Encoded:
    """What encoders count; their table stays in the artifact's folder."""
    step = context.step("scores")
    scratch = context.store.state / "scores" / step.fingerprint
    return encode(
        context.settings.score.encoders,
        context.environment,
        (files, predictions),
        (folder, scratch),
        cache,
        _tell,
    )


def _tell(event: Event) -> None:
    if event["event"] == "progress":
        LOGGER.info("encoder %s", event["encoder"])
    if event["event"] == "reading":
        LOGGER.info("encoder %s: %d of %d texts", event["encoder"], event["done"], event["total"])


def _judge(
    context: Context,
    teacher: Teacher,
    predictions: pa.Table,
    on_progress: Callable[[int, int], None],
) -> pa.Table:
    """JUDGEMENT_SCHEMA rows of all judges, for the model and every control."""
    from evaluation.judged import choose_judged
    from tasks.score.judge import judge_pairs

    settings = context.settings.score
    return judge_pairs(
        choose_judged(predictions, settings.judged_studies, settings.seed),
        settings.judges,
        teacher.client(*settings.judges),
        lambda source: get_source(source).card.llm_egress,
        on_progress,
    )


def _slices(
    context: Context, scores: Scores, predictions: pa.Table, judged: pa.Table
) -> Slices | None:
    """Groups of the test examples; None where nothing was predicted."""
    from evaluation.paired import read_system
    from evaluation.slices import slice_scores

    settings = context.settings.score
    if not predictions.num_rows:
        return None
    system = read_system(predictions, scores.counts, judged, settings)
    shards = [str(path) for path in example_files(context, Split.TEST)]
    facts = example_facts(shards, system.outputs.example_ids)
    judges = [f"chexprompt[{name}]-significant-errors" for name in settings.judges[:1]]
    metrics = ["rule14-micro-F1", *judges]
    return slice_scores(system, facts, metrics, settings.bootstrap_resamples, settings.seed)


def _write(
    context: Context, scores: Scores, slices: Slices | None, judged: pa.Table, folder: Path
) -> None:
    from evaluation.report import render_report
    from tasks.score.page import make_page

    (folder / SCORES_FILE).write_text(json.dumps(scores.to_dict(), indent=1) + "\n")
    write_table(folder / EXAMPLES_FILE, scores.examples)
    write_table(folder / COUNTS_FILE, scores.counts)
    write_table(folder / JUDGED_FILE, judged)
    told = None if slices is None else slices.to_dict()
    (folder / SLICES_FILE).write_text(json.dumps(told, indent=1) + "\n")
    (folder / PAGE_FILE).write_text(render_report(make_page(context, scores, slices)))
