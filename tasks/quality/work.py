"""Rate a source's teacher: texts beside better ones, scored, judged and written as an artifact."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.artifact import Artifact, build_artifact, read_artifact
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.settings import Settings
from sources.catalog import get_source
from sources.replicas.padchest import known_english
from sources.replicas.truth import ReplicaSpec
from tasks.context import Context
from tasks.ingest.studies import STUDIES_FILE
from tasks.reports.connection import Teacher

if TYPE_CHECKING:
    from evaluation.scores import Scores
    from infra.llm import Client
    from tasks.quality.pairs import Task, TeacherTexts

PIECE = "quality"
QUALITY_FILE = "quality.json"
TABLE_FILE = "quality.md"
FORMAT = 1
"""Raise when a reader of ``quality.json`` must change."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Rated:
    """One task's texts and what they scored."""

    texts: TeacherTexts
    scores: Scores
    judged: pa.Table | None


def rate_teacher(context: Context, name: str, teacher: Teacher, on_progress: Progress) -> Artifact:
    """How good the recipe's language model writes of one source, for every task that can be rated.

    Raises:
        EgressRefused: the source's text may not go to the endpoint.
        LanguageModelError: the endpoint failed; finished answers are kept.
    """
    build = partial(_rate, context, name, teacher, on_progress)
    step = context.graph[f"teachers/{name}"]
    return build_artifact(context.store, step, lambda: {PIECE: ""}, build)


def quality_of(artifact: Artifact) -> dict[str, Any]:
    """The document of one source."""
    found: dict[str, Any] = json.loads(artifact.files(QUALITY_FILE)[0].read_text(encoding="utf-8"))
    return found


def qualities(context: Context) -> dict[str, dict[str, Any]]:
    """The document of every source whose teacher has been rated."""
    found = {
        step.name: read_artifact(context.store, step) for step in context.graph.of_kind("teachers")
    }
    return {name: quality_of(artifact) for name, artifact in found.items() if artifact is not None}


def _rate(
    context: Context, name: str, teacher: Teacher, on_progress: Progress, key: str, folder: Path
) -> BuiltPiece:
    from tasks.quality.page import quality_document, quality_markdown, tracked
    from tasks.quality.pairs import NO_PAIR, TASKS, teacher_texts

    del key
    settings = context.settings
    files = context.artifact(f"studies/{name}").files(STUDIES_FILE)
    studies = pa.concat_tables([pq.read_table(path) for path in files])
    client = teacher.client(settings.reports.model, *settings.score.judges)
    english = _known_english(context, name)
    rated: dict[Task, Rated] = {}
    unavailable: dict[str, str] = {}
    for task in TASKS:
        texts = teacher_texts(
            studies,
            task,
            settings.reports,
            client,
            english=english,
            most=settings.score.teacher_studies,
            seed=settings.score.seed,
        )
        if texts.kept:
            rated[task] = _score(name, texts, settings, client, on_progress)
        elif not texts.usable:
            unavailable[task] = NO_PAIR[task]
        else:
            why = ", ".join(f"{reason} {count}" for reason, count in texts.rejected.items())
            unavailable[task] = f"no answer of {texts.asked} was kept ({why})"
    document = quality_document(name, bool(english), rated, unavailable)
    _write(folder, document, quality_markdown(document), rated)
    counts = tuple(
        Count(f"texts to {task}", item.texts.asked, item.texts.kept, item.texts.rejected)
        for task, item in rated.items()
    )
    return BuiltPiece(counts, {"tracked": tracked(document)})


def _known_english(context: Context, name: str) -> Mapping[str, str]:
    """The English of a replica's Spanish reports; real reports have none."""
    if name != "padchest" or f"replicas/{name}" not in context.graph.steps:
        return {}
    chosen = context.graph[f"replicas/{name}"].settings
    spec = ReplicaSpec(chosen["studies"], chosen["seed"], wording=chosen["wording"])
    return known_english(spec)


def _score(
    name: str, texts: TeacherTexts, settings: Settings, client: Client, on_progress: Progress
) -> Rated:
    from evaluation.judged import choose_judged
    from evaluation.scores import score_predictions
    from tasks.score.judge import judge_pairs

    score = settings.score
    judged = None
    if score.judges:
        some = choose_judged(texts.pairs, score.judged_studies, score.seed)
        rule = get_source(name).card.llm_egress
        judged = judge_pairs(some, score.judges, client, lambda _: rule, on_progress)
    section = "all" if texts.task == "translate" else "findings"
    writers = [(model, "the texts that it judges") for model in texts.models]
    is_translated = texts.task == "translate"
    scores = score_predictions(  # no published table rates a teacher: no blocks
        texts.pairs, judged, score, section, writers, translated=is_translated, blocks=()
    )
    return Rated(texts, scores, judged)


def _write(folder: Path, document: dict[str, Any], table: str, rated: Mapping[Task, Rated]) -> None:
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    (folder / QUALITY_FILE).write_text(text, encoding="utf-8")
    (folder / TABLE_FILE).write_text(table, encoding="utf-8")
    for task, item in rated.items():
        write_table(folder / f"examples-{task}.parquet", item.scores.examples)
        if item.judged is not None:
            write_table(folder / f"judged-{task}.parquet", item.judged)
