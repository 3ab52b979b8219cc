"""Send a source's reports their routes, one piece of studies at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from math import ceil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.artifact import Artifact, OnPiece, build_artifact, ignore_progress
from infra.errors import ArtifactError
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from sources.record import Level
from tasks.context import Context
from tasks.graph import RETRIES
from tasks.ingest.studies import REJECTED_FILE, STUDIES_FILE
from tasks.reports.connection import Teacher
from tasks.reports.routes import Piece, piece_requests, write_piece

REPORTS_FILE = "reports.parquet"


def write_reports(
    context: Context,
    name: str,
    teacher: Teacher,
    on_piece: OnPiece = ignore_progress,
    on_answer: OnPiece = ignore_progress,
) -> Artifact:
    """Text versions of one source's reports in REPORT_SCHEMA.

    A piece's input is its studies' bytes: one edited report asks for one piece's answers, and of
    those the cache has all but one. ``on_answer(done, total)`` is called for the requests of a
    piece that are really sent, on the client's event loop.

    Raises:
        EgressRefused: the source's text may not go to the endpoint.
        LanguageModelError: the endpoint failed; finished answers are kept.
        ArtifactError: more reports failed their checks than the recipe allows.
    """
    studies = context.artifact(f"studies/{name}")
    files = {
        piece.key: (context.store.local(f"{piece.folder}/{file.name}", file.digest), file.digest)
        for piece in studies.pieces
        for file in piece.files
        if file.name == STUDIES_FILE
    }
    paths = {key: path for key, (path, _) in files.items()}
    step = context.graph[f"reports/{name}"]
    # released failures belong to no known piece: all are made again, from stored answers but those
    mark = f" {step.inputs[RETRIES]}" if RETRIES in step.inputs else ""
    return build_artifact(
        context.store,
        step,
        lambda: {key: f"{digest}{mark}" for key, (_, digest) in files.items()},
        partial(_write, context, name, paths, teacher, on_answer=on_answer),
        on_piece=on_piece,
        before=partial(_ask_ahead, context, name, paths, teacher),
    )


def _ask_ahead(
    context: Context, name: str, files: dict[str, Path], teacher: Teacher, keys: Sequence[str]
) -> None:
    """Where batches are made, ask for all pieces at once: a batch takes hours, however small.

    The answers stay in the cache, where each piece finds its own.
    """
    settings = context.settings
    routes = [route for route in settings.sources.routes[name] if route != "keep"]
    if not routes:
        return
    client = teacher.client(settings.reports.model)
    if client.makes_batches:
        client.complete_many(
            [
                request
                for key in keys
                for route in routes
                for request in piece_requests(pq.read_table(files[key]), route, settings.reports)
            ]
        )


def _write(
    context: Context,
    name: str,
    files: dict[str, Path],
    teacher: Teacher,
    key: str,
    folder: Path,
    *,
    on_answer: OnPiece,
) -> BuiltPiece:
    settings = context.settings
    studies = pq.read_table(files[key])
    routes = settings.sources.routes[name]
    asks = any(route != "keep" for route in routes)
    client = teacher.client(settings.reports.model) if asks else None
    written = [write_piece(studies, route, settings.reports, client, on_answer) for route in routes]
    reports = pa.concat_tables([piece.reports for piece in written])
    rejected = pa.concat_tables([piece.rejected for piece in written])
    reports = reports.sort_by([("study_id", "ascending"), ("version", "ascending")])
    write_table(folder / REPORTS_FILE, reports)
    write_table(folder / REJECTED_FILE, rejected)
    counts = tuple(
        _count(route, studies, piece) for route, piece in zip(routes, written, strict=True)
    )
    check_failed_share(f"{name} {key}", counts, settings.reports.largest_failed_share)
    return BuiltPiece(counts, usage(reports))


def _count(route: str, studies: pa.Table, piece: Piece) -> Count:
    """Studies sent a route: those with at least one text, and the rest by reason."""
    texts = piece.rejected.filter(pc.equal(piece.rejected["level"], str(Level.TEXT)))
    kept = set(piece.reports["study_id"].to_pylist())
    lost = {row["study_id"]: row["reason"] for row in texts.to_pylist()}
    reasons = Counter(reason for study, reason in lost.items() if study not in kept)
    return Count(f"studies to {route}", studies.num_rows, len(kept), dict(sorted(reasons.items())))


NOT_APPLICABLE = frozenset(
    {"no-report", "no-labels", "no-findings", "is-english", "not-english", "language-unsupported"}
)
"""Reasons that say nothing about the model: the study has nothing to send."""


def check_failed_share(
    what: str,
    counts: tuple[Count, ...],
    largest: float,
    setting: str = "reports.largest_failed_share",
    not_applicable: frozenset[str] = NOT_APPLICABLE,
) -> None:
    """Raise ArtifactError where more of the model's texts failed their checks than ``setting``
    allows."""
    for count in counts:
        reasons = {why: n for why, n in count.rejected.items() if why not in not_applicable}
        failed = sum(reasons.values())
        asked = count.kept + failed
        # rounded up, so that one bad answer among a dozen does not stop a small source
        if failed > ceil(round(largest * asked, 6)):
            worst = max(reasons.items(), key=lambda pair: pair[1])
            raise ArtifactError(
                f"{what}, {count.unit}: {failed} of {asked} texts failed their checks, more than "
                f"the recipe's share of {largest:g}; most often {worst[0]} ({worst[1]}); look at "
                f"the prompt and the endpoint, or raise {setting}"
            )


def usage(reports: pa.Table) -> dict[str, float]:
    """Tokens and cost behind the piece's texts."""
    return {
        name: pc.sum(reports[name]).as_py() or 0
        for name in ("input_tokens", "output_tokens", "cost_usd")
    }
