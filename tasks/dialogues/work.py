"""Have dialogues written from a source's reports, one piece of studies at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from infra.artifact import Artifact, OnPiece, build_artifact, ignore_progress
from infra.llm import ChatRequest
from infra.parquet import write_table
from infra.pieces import BuiltPiece
from infra.settings import Settings
from infra.settings.dialogues import DialogueRoute
from tasks.context import Context
from tasks.dialogues.routes import piece_requests, write_piece
from tasks.graph import RETRIES
from tasks.ingest.studies import REJECTED_FILE, STUDIES_FILE
from tasks.reports.connection import Teacher
from tasks.reports.work import REPORTS_FILE, check_failed_share, usage

DIALOGUES_FILE: Final = "dialogues.parquet"
NOT_APPLICABLE: Final = frozenset({"not-chosen", "no-report", "no-film", "nothing-asked"})
"""Reasons that say nothing about the model: there was nothing to write from, or nothing to ask."""

Pair = tuple[Path, Path]
"""A piece's studies and reports."""


def write_dialogues(
    context: Context,
    name: str,
    teacher: Teacher,
    on_piece: OnPiece = ignore_progress,
    on_answer: OnPiece = ignore_progress,
) -> Artifact:
    """Dialogues of one source in WRITTEN_SCHEMA.

    A piece's input is the bytes of its studies and of its reports. ``on_answer(done, total)`` is
    called for the requests of a piece that are really sent, on the client's event loop.

    Raises:
        EgressRefused: the source's text may not go to the endpoint.
        LanguageModelError: the endpoint failed; finished answers are kept.
        ArtifactError: more questions or requests failed their checks than the recipe allows.
    """
    step = context.graph[f"dialogues/{name}"]
    pairs, digests = _inputs(context, name)
    # released failures belong to no known piece: all are made again, from stored answers but those
    mark = f" {step.inputs[RETRIES]}" if RETRIES in step.inputs else ""
    return build_artifact(
        context.store,
        step,
        lambda: {key: f"{digest}{mark}" for key, digest in digests.items()},
        partial(_write, context, name, pairs, teacher, on_answer=on_answer),
        on_piece=on_piece,
        before=partial(_ask_ahead, context, name, pairs, teacher),
    )


def piece_pairs(context: Context, name: str) -> dict[str, Pair]:
    """The tables of studies and reports of each piece."""
    return _inputs(context, name)[0]


def _inputs(context: Context, name: str) -> tuple[dict[str, Pair], dict[str, str]]:
    """By piece its two tables, and the digest of both."""
    found = [
        _files(context, f"studies/{name}", STUDIES_FILE),
        _files(context, f"reports/{name}", REPORTS_FILE),
    ]
    keys = sorted(found[0].keys() & found[1].keys())
    pairs = {key: (found[0][key][0], found[1][key][0]) for key in keys}
    return pairs, {key: f"{found[0][key][1]} {found[1][key][1]}" for key in keys}


def _files(context: Context, artifact: str, file_name: str) -> dict[str, tuple[Path, str]]:
    return {
        piece.key: (context.store.local(f"{piece.folder}/{file.name}", file.digest), file.digest)
        for piece in context.artifact(artifact).pieces
        for file in piece.files
        if file.name == file_name
    }


def _ask_ahead(
    context: Context,
    name: str,
    pairs: Mapping[str, Pair],
    teacher: Teacher,
    keys: Sequence[str],
) -> None:
    """Where batches are made, ask for all pieces at once: a batch takes hours, however small."""
    client = teacher.client(context.settings.reports.model)
    if client.makes_batches:
        client.complete_many(
            [
                request
                for key in keys
                for route in context.settings.dialogues.routes[name]
                for request in _requests(pairs[key], route, context.settings)
            ]
        )


def _requests(pair: Pair, route: DialogueRoute, settings: Settings) -> list[ChatRequest]:
    studies, reports = map(pq.read_table, pair)
    return piece_requests(studies, reports, route, settings)


def _write(
    context: Context,
    name: str,
    pairs: Mapping[str, Pair],
    teacher: Teacher,
    key: str,
    folder: Path,
    *,
    on_answer: OnPiece,
) -> BuiltPiece:
    settings = context.settings
    studies, reports = map(pq.read_table, pairs[key])
    client = teacher.client(settings.reports.model)
    written = [
        write_piece(studies, reports, route, settings, client, on_answer)
        for route in settings.dialogues.routes[name]
    ]
    dialogues = pa.concat_tables([piece.dialogues for piece in written])
    rejected = pa.concat_tables([piece.rejected for piece in written])
    dialogues = dialogues.sort_by([("study_id", "ascending"), ("route", "ascending")])
    write_table(folder / DIALOGUES_FILE, dialogues)
    write_table(folder / REJECTED_FILE, rejected)
    counts = tuple(count for piece in written for count in piece.counts)
    check_failed_share(
        f"{name} {key}",
        counts,
        settings.dialogues.largest_failed_share,
        "dialogues.largest_failed_share",
        NOT_APPLICABLE,
    )
    return BuiltPiece(counts, usage(dialogues))
