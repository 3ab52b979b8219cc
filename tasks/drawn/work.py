"""Draw the films of a set in a child process, and pack the examples that they become."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from infra.artifact import Artifact, OnPiece, build_artifact, ignore_progress
from infra.errors import InputError
from infra.fingerprint import fingerprint
from infra.launch import Event
from infra.parent import run_in_child
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count, content_digest
from infra.runs import DrawRun
from infra.settings.diffusion import DrawSettings
from infra.settings.sections import DrawnSettings
from sources.record import Split
from tasks.context import Context
from tasks.draw.learned import learned_views
from tasks.drawn.chosen import prompts_of
from tasks.drawn.shards import DrawnShards
from tasks.train.work import PIECE, example_files

FILMS_PIECE: Final = "films"
FILMS_FILE: Final = "drawings.parquet"


def drawn_of(context: Context, name: str) -> DrawnSettings:
    """How a set of drawn films is drawn."""
    drawn = context.settings.sets[name].drawn
    assert drawn is not None, f"{name} is a set of drawn films"
    return drawn


def draw_films(context: Context, name: str, on_event: Callable[[Event], None]) -> Artifact:
    """A film for every chosen training example; those that are finished outlive a kill.

    Raises:
        InputError: the set that it is drawn of has no such example.
        ChildFailed: the child ended badly.
    """
    return build_artifact(
        context.store,
        context.graph[f"drawings/{name}"],
        lambda: {FILMS_PIECE: ""},
        partial(_draw, context, name, on_event),
    )


def _draw(
    context: Context, name: str, on_event: Callable[[Event], None], key: str, folder: Path
) -> BuiltPiece:
    del key
    drawn = drawn_of(context, name)
    views = learned_views(context, drawn.stage)
    prompts = prompts_of(example_files(context, Split.TRAIN, (drawn.of,)), drawn, views)
    if not len(prompts):
        raise InputError(
            f"no training example of set {drawn.of} to draw for set {name}",
            "one at least",
            f"raise sets.{name}.drawn.share, or see the rejected rows of {drawn.of}",
        )
    step = context.graph[f"drawings/{name}"]
    scratch = context.store.state / "drawings" / f"{name}-{step.fingerprint}"
    scratch.mkdir(parents=True, exist_ok=True)
    asked = scratch / "prompts.parquet"
    write_table(asked, prompts)
    run = DrawRun(
        model=context.artifact(f"stages/{drawn.stage}").local_folder(PIECE),
        draw=DrawSettings(steps=drawn.steps, guidance=drawn.guidance, batch_size=drawn.batch_size),
        prompts=asked,
        output=folder,
        scratch=scratch / "parts",
    )
    told = run_in_child("models.draw", run, scratch, on_event)
    made = pq.ParquetFile(folder / FILMS_FILE).metadata.num_rows
    asked.unlink()  # report text: what was asked is in the films' own table
    pace = {"seconds_per_film": told.get("seconds_per_film")}
    return BuiltPiece((Count("films", len(prompts), made),), {}, pace)


def pack_drawn(context: Context, name: str, on_piece: OnPiece = ignore_progress) -> Artifact:
    """The set's shards, a piece for each piece of the set that it is drawn of."""
    drawn, settings = drawn_of(context, name), context.settings.sets[name]
    base, films = context.artifact(f"examples/{drawn.of}"), context.artifact(f"drawings/{name}")
    shards = DrawnShards(
        name,
        drawn,
        settings.row_group_rows,
        films.files(FILMS_FILE)[0],
        context.graph[f"stages/{drawn.stage}"].fingerprint,
        learned_views(context, drawn.stage),
    )
    made_of = {
        piece.key: [
            context.store.local(f"{piece.folder}/{file.name}", file.digest)
            for split in Split
            for file in piece.files
            if file.name.startswith(f"{split}-")
        ]
        for piece in base.pieces
    }
    drawn_films = content_digest(films.pieces[0].files)
    with ThreadPoolExecutor(context.environment.workers, "pack") as threads:
        return build_artifact(
            context.store,
            context.graph[f"examples/{name}"],
            lambda: {
                piece.key: fingerprint([content_digest(piece.files), drawn_films])
                for piece in base.pieces
            },
            lambda key, folder: shards.pack(made_of[key], folder),
            executor=threads,
            on_piece=on_piece,
        )
