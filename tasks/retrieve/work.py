"""Embed the test films and their texts, and score which find each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq
from safetensors.numpy import load_file

from infra.artifact import Artifact, build_artifact
from infra.launch import Event
from infra.log import LOGGER
from infra.parent import run_in_child
from infra.pieces import BuiltPiece, Count
from infra.runs import EmbedRun
from sources.example import one_line
from sources.record import Split
from tasks.context import Context
from tasks.predict.work import no_test_examples
from tasks.train.work import PIECE as MODEL_PIECE
from tasks.train.work import example_files

if TYPE_CHECKING:
    from evaluation.retrieval import Encoded, Pool, RetrievalScore
    from evaluation.statistics import Floats

PIECE: Final = "retrieval"
SCORES_FILE: Final = "retrieval.json"
PAGE_FILE: Final = "retrieval.html"
EMBEDDINGS_FILE: Final = "embeddings.safetensors"
FILMS_FILE: Final = "films.parquet"
TEXTS_FILE: Final = "texts.parquet"
FORMAT: Final = 1
"""Raise when a reader of ``retrieval.json`` must change."""
Row = dict[str, Any]


def retrieve(context: Context, on_event: Callable[[Event], None]) -> Artifact:
    """Embeddings, retrieval and zero-shot scores, and their page."""
    step = context.step("retrieval")
    build = partial(_retrieve, context, on_event)
    return build_artifact(context.store, step, lambda: {PIECE: ""}, build)


def _retrieve(
    context: Context, on_event: Callable[[Event], None], key: str, folder: Path
) -> BuiltPiece:
    from evaluation.retrieval import score_rows, tracked
    from evaluation.retrieval_page import render_retrieval
    from evaluation.zero_shot import tracked_zero_shot

    del key
    if not example_files(context, Split.TEST):
        LOGGER.warning("nothing to retrieve: %s", no_test_examples(context))
        document = _document(context, [], {}, {"retrieval": no_test_examples(context)})
        (folder / SCORES_FILE).write_text(json.dumps(document, indent=1) + "\n")
        (folder / PAGE_FILE).write_text(render_retrieval(document))
        return BuiltPiece((Count("films embedded", 0, 0),), {"tracked": {}})
    _embed(context, folder, on_event)
    films = pq.read_table(folder / FILMS_FILE).to_pylist()
    texts = pq.read_table(folder / TEXTS_FILE).to_pylist()
    vectors = load_file(folder / EMBEDDINGS_FILE)
    pool = pool_of(films, texts, context.examples.task)
    scores = _scores(context, vectors, pool)
    zero_shot, numbers, unavailable = {}, dict(tracked(scores)), {}
    if "dual.images" in vectors:
        found, mean = _zero_shot(context, vectors, films, texts)
        zero_shot = {"observations": [asdict(item) for item in found], "mean": asdict(mean)}
        numbers |= tracked_zero_shot(found, mean)
    else:
        reason = "no stage of kind pretrain made a dual encoder"
        unavailable = {"retrieval/dual encoder": reason, "zero-shot": reason}
    document = _document(context, score_rows(scores), zero_shot, unavailable)
    (folder / SCORES_FILE).write_text(json.dumps(document, indent=1) + "\n")
    (folder / PAGE_FILE).write_text(render_retrieval(document))
    expected = sum(pq.ParquetFile(path).metadata.num_rows for path in _test_files(context))
    return BuiltPiece((Count("films embedded", expected, len(films)),), {"tracked": numbers})


def _test_files(context: Context) -> tuple[Path, ...]:
    return example_files(context, Split.TEST)


def _document(context: Context, rows: Sequence[Row], zero_shot: Row, unavailable: Row) -> Row:
    step = context.step("retrieval")
    return {
        "format": FORMAT,
        "recipe": context.settings.recipe,
        "scale": context.settings.scale,
        "fingerprint": step.fingerprint,
        "replicas": [item.name for item in context.graph.of_kind("replicas")],
        "scores": list(rows),
        "zero_shot": zero_shot,
        "unavailable": unavailable,
    }


def _embed(context: Context, folder: Path, on_event: Callable[[Event], None]) -> None:
    """Vectors and rows into the folder, by a child process."""
    from evaluation.zero_shot import prompts

    settings = context.settings
    step = context.step("retrieval")
    scratch = context.store.state / "retrieval" / step.fingerprint
    encoders = [stage.name for stage in settings.stages if stage.kind == "pretrain"]
    folders = {
        name: context.artifact(f"stages/{name}").local_folder(MODEL_PIECE)
        for name in (*encoders[-1:], context.asked.stage)
    }
    run = EmbedRun(
        dual_encoder=folders[encoders[-1]] if encoders else None,
        vlm=folders[context.asked.stage],
        examples=_test_files(context),
        prompts=tuple(prompts()) if encoders else (),
        text_tokens=settings.models.text_tower.context_tokens if encoders else None,
        batch_size=settings.retrieval.batch_size,
        output=folder,
    )
    run_in_child("models.embed", run, scratch, on_event)


def pool_of(films: Sequence[Row], texts: Sequence[Row], section: str) -> Pool:
    """Rows of the artifact's ``films.parquet`` and ``texts.parquet``."""
    import numpy as np

    from evaluation.retrieval import Pool

    return Pool(
        np.array([film["text"] for film in films], dtype=np.intp),
        tuple(one_line(text["target"]) for text in texts),
        tuple(map(_subject, films)),
        tuple(map(_subject, texts)),
        tuple(f"{text['source']}\t{text['study_id']}" for text in texts),
        section,
    )


def _subject(row: Row) -> str:
    """Unique over sources; an unknown one is its study alone."""
    own = f"subject\t{row['subject_id']}" if row["subject_id"] else f"study\t{row['study_id']}"
    return f"{row['source']}\t{own}"


def encoders_of(vectors: Mapping[str, Floats]) -> list[Encoded]:
    """What embedded the films and texts: the dual encoder where one was trained, and the VLM."""
    from evaluation.retrieval import Encoded, centred

    found: list[Encoded] = []
    if "dual.images" in vectors:
        found.append(Encoded("dual encoder", vectors["dual.images"], vectors["dual.texts"]))
    return [*found, Encoded("vlm", centred(vectors["vlm.images"]), centred(vectors["vlm.texts"]))]


def _scores(context: Context, vectors: Mapping[str, Floats], pool: Pool) -> list[RetrievalScore]:
    from evaluation.retrieval import score_retrieval

    settings = context.settings.retrieval
    return [
        score
        for encoded in encoders_of(vectors)
        for score in score_retrieval(encoded, pool, settings.bootstrap_resamples, settings.seed)
    ]


def _zero_shot(
    context: Context, vectors: dict[str, Floats], films: Sequence[Row], texts: Sequence[Row]
) -> Any:
    from evaluation.clinical import LabelMatrix
    from evaluation.labeler import label_reports
    from evaluation.statistics import make_bootstrap
    from evaluation.zero_shot import prompt_scores, score_zero_shot

    settings = context.settings.retrieval
    told = label_reports([text["target"] for text in texts])
    labels = LabelMatrix.of([told[film["text"]] for film in films])
    subjects = [_subject(film) for film in films]
    bootstrap = make_bootstrap(subjects, settings.bootstrap_resamples, settings.seed)
    scores = prompt_scores(vectors["dual.images"], vectors["dual.prompts"])
    return score_zero_shot(scores, labels, subjects, bootstrap)
