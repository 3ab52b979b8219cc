"""Ask for films as the dialogues' test set does, and hold request, span and film together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from infra.artifact import Artifact, build_artifact
from infra.launch import Event
from infra.parent import run_in_child
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.runs import GenerateRun
from infra.settings.sections import GenerateSettings
from sources.answered_request import ANSWERED_REQUEST_SCHEMA, AS_WRITTEN, HELD_OUT
from sources.example import EXAMPLE_SCHEMA
from sources.learned_views import ViewCounts, unlearned_view
from sources.record import Split
from sources.xray_span import read_span
from tasks.coherence.films import drawn_probabilities
from tasks.context import Context
from tasks.draw.films import row_digest
from tasks.draw.learned import learned_views
from tasks.draw.readings import unit_of
from tasks.predict.work import PREDICTIONS_FILE
from tasks.reports.offline_request import held_out_request
from tasks.train.work import PIECE as MODEL_PIECE
from tasks.train.work import example_files

if TYPE_CHECKING:
    from evaluation.coherence import FilmCoherence, Requests

PIECE: Final = "coherence"
FORMAT: Final = 3
"""Raise when a reader of ``coherence.json`` must change; 3 says of which requests no film is."""
SCORES_FILE: Final = "coherence.json"
PAGE_FILE: Final = "coherence.html"
ANSWERS_FILE: Final = "answers.parquet"
NO_REQUEST: Final = "no request for a film in the test split"
NO_DRAWER: Final = "the recipe has no ability that draws"
NO_SPAN: Final = "no answer has a text to draw"
NO_LEARNED_VIEW: Final = "every whole span is of a view that the model has not been shown"
Row = dict[str, Any]
OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class _Found:
    """What ``coherence.json`` holds of both parts, and its numbers by name."""

    document: dict[str, Any]
    tracked: dict[str, float]


def check_coherence(context: Context, on_event: OnEvent) -> Artifact:
    """Shares and failures of spans and films, the answers behind them, and their page."""
    return build_artifact(
        context.store,
        context.step("coherence"),
        lambda: {PIECE: ""},
        partial(_check, context, on_event),
    )


def _check(context: Context, on_event: OnEvent, key: str, folder: Path) -> BuiltPiece:
    from evaluation.coherence_page import render_coherence

    del key
    step = context.step("coherence")
    scratch = context.store.state / "coherence" / step.fingerprint
    asked = chosen_requests(context)
    reworded = [row for row in map(_reworded, asked) if row is not None]
    every = [*asked, *reworded]
    rows = _answered(context, every, scratch / "answers", on_event) if every else []
    found = _measured(context, rows, scratch / "films", on_event)
    document = {
        "format": FORMAT,
        "recipe": context.settings.recipe,
        "scale": context.settings.scale,
        "fingerprint": step.fingerprint,
        "replicas": [each.name for each in context.graph.of_kind("replicas")],
        **found.document,
    }
    (folder / SCORES_FILE).write_text(json.dumps(document, indent=1) + "\n")
    (folder / PAGE_FILE).write_text(render_coherence(document))
    write_table(folder / ANSWERS_FILE, pa.Table.from_pylist(rows, schema=ANSWERED_REQUEST_SCHEMA))
    return BuiltPiece((Count("requests", len(every), len(rows)),), {"tracked": found.tracked})


def chosen_requests(context: Context) -> list[Row]:
    """EXAMPLE_SCHEMA rows of the test split, in a seeded order, as many as are asked."""
    settings = context.settings
    name = settings.asked_for_films
    assert name is not None, "settings that ask for coherence have a set of requests"
    files = example_files(context, Split.TEST, (name,))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    rows.sort(key=lambda row: row_digest(settings.coherence.seed, row["example_id"]))
    return rows[: settings.coherence.requests]


def _reworded(row: Row) -> Row | None:
    """The same example asked for in words that were held out; None where its answer has no span."""
    text = read_span(row["target"]).prompt
    words = Random(row["example_id"])
    request = None if text is None else held_out_request(text, words)
    if request is None:
        return None
    turns = [*row["turns"][:-1], {"role": "user", "text": request}]
    return {**row, "example_id": f"{row['example_id']}/{HELD_OUT}", "turns": turns}


def _answered(context: Context, asked: list[Row], scratch: Path, on_event: OnEvent) -> list[Row]:
    """ANSWERED_REQUEST_SCHEMA rows."""
    ability, told = context.asked, context.settings.coherence
    scratch.mkdir(parents=True, exist_ok=True)
    shard = scratch / "requests.parquet"
    write_table(shard, pa.Table.from_pylist(asked, schema=EXAMPLE_SCHEMA))
    run = GenerateRun(
        model=context.artifact(f"stages/{ability.stage}").local_folder(MODEL_PIECE),
        generate=GenerateSettings(
            batch_size=ability.generate.batch_size, max_new_tokens=told.max_new_tokens
        ),
        examples=(shard,),
        output=scratch / "written",
        scratch=scratch / "parts",
    )
    processes = context.environment.processes_per_node
    run_in_child("models.generate", run, scratch, on_event, processes=processes)
    table = pq.read_table(run.output / PREDICTIONS_FILE, columns=["example_id", "prediction"])
    said = dict(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return [
        {
            **{name: row[name] for name in ("example_id", "source", "study_id", "subject_id")},
            "wording": HELD_OUT if row["example_id"].endswith(f"/{HELD_OUT}") else AS_WRITTEN,
            "prompt": row["turns"][-1]["text"],
            "prediction": said[row["example_id"]],
            "reference": row["target"],
        }
        for row in asked
    ]


def _measured(context: Context, every: list[Row], scratch: Path, on_event: OnEvent) -> _Found:
    from evaluation.coherence import measure_coherence

    told = context.settings.coherence
    rows = [row for row in every if row["wording"] == AS_WRITTEN]
    apart = [row for row in every if row["wording"] == HELD_OUT]
    unavailable: dict[str, str] = {} if rows else {"coherence": NO_REQUEST}
    draws, drawer = (told.bootstrap_resamples, told.seed), context.settings.drawer
    views = None
    if rows and drawer is not None:
        views = learned_views(context, context.settings.abilities[drawer].stage)
    found = measure_coherence(_requests(rows), *draws, views)
    held_out = measure_coherence(_requests(apart), *draws, views)
    films: FilmCoherence | None = None
    if rows:
        films, why = _film_part(context, rows, views, scratch, on_event)
        unavailable |= {"films": why} if why else {}
    tracked = found.tracked() | held_out.tracked("coherence-held-out")
    if films is not None:
        tracked |= {
            f"coherence/{each.system}/{each.metric}": each.interval.value
            for each in films.measured
            if each.interval.value is not None
        }
    document = found.to_dict() | {"held_out": held_out.to_dict(), "unavailable": unavailable}
    return _Found(document | {"of_films": None if films is None else films.to_dict()}, tracked)


def _requests(rows: list[Row]) -> Requests:
    from evaluation.coherence import Requests

    return Requests(
        texts=tuple(row["prompt"] for row in rows),
        answers=tuple(row["prediction"] for row in rows),
        references=tuple(row["reference"] for row in rows),
        units=tuple(unit_of(row) for row in rows),
    )


def _film_part(
    context: Context,
    rows: list[Row],
    views: ViewCounts | None,
    scratch: Path,
    on_event: OnEvent,
) -> tuple[FilmCoherence | None, str]:
    """Films of all whole spans, as `cxr chat` draws them, held to spans and requests; or why there
    are none. As there, a view that the model has not been shown is not drawn."""
    from evaluation.coherence import NotDrawn, measure_films

    drawer, told = context.settings.drawer, context.settings.coherence
    read_spans = {row["example_id"]: read_span(row["prediction"]) for row in rows}
    spans = {name: read.prompt or "" for name, read in read_spans.items() if read.fault is None}
    lacked = {name: unlearned_view(text, views) for name, text in spans.items()}
    kept = [row for row in rows if lacked.get(row["example_id"], "no span") is None]
    if drawer is None:
        return None, NO_DRAWER
    if not kept:
        return None, NO_LEARNED_VIEW if spans else NO_SPAN
    lost = Counter(sorted(view for view in lacked.values() if view is not None))
    not_drawn = NotDrawn(len(rows) - len(spans), lost)
    texts = [spans[row["example_id"]] for row in kept]
    prompts = dict(zip((row["example_id"] for row in kept), texts, strict=True))
    read = drawn_probabilities(context.doing(drawer), prompts, told.seed, scratch, on_event)
    units = [unit_of(row) for row in kept]
    requests = [row["prompt"] for row in kept]
    draws = (told.bootstrap_resamples, told.seed)
    return measure_films(read, requests, texts, units, *draws, not_drawn), ""
