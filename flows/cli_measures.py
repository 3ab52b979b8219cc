"""The commands that score pairs of texts, and rate the metrics and judges that score them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli_options import DataRoot, Json, Judges, Out, Resamples, Seed


def validate_metrics(
    place: Annotated[
        Path, typer.Argument(help="Ratings as CSV, their folder, or ReXVal's folder.")
    ],
    judge: Judges = None,
    texts_of: Annotated[
        str | None, typer.Option(help="Source whose card says where the texts may go [nowhere].")
    ] = None,
    resamples: Annotated[
        int, typer.Option(min=10, max=10**6, help="Bootstrap resamples of studies.")
    ] = 1000,
    seed: Seed = 3,
    out: Out = None,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    from flows import cli_validate
    from tasks.validate.work import Asked

    asked = Asked(place, tuple(judge or ()), texts_of, resamples, seed)
    cli_validate.validate_metrics(asked, out, data_root, as_json=as_json)


def plant_errors(
    judge: Judges = None,
    per_cell: Annotated[int, typer.Option(min=1, help="Pairs of each kind and tier.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal texts.")] = 0,
    out: Out = None,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    from flows import cli_validate

    judges = tuple(judge or ("offline-rules",))
    cli_validate.find_planted_errors(judges, per_cell, seed, out, data_root, as_json=as_json)


def score(
    pairs: Annotated[Path, typer.Argument(help="A .csv, .jsonl or .parquet file, one pair a row.")],
    block: Annotated[
        list[str] | None,
        typer.Option(help="llava_rad, rrg24, offline or profiles; repeatable [the first three]."),
    ] = None,
    section: Annotated[
        str, typer.Option(help="What the texts are: findings, impression or report.")
    ] = "findings",
    resamples: Resamples = 500,
    seed: Seed = 3,
    cache: Annotated[bool, typer.Option(help="Keep counts of pairs in the state folder.")] = True,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    from flows import cli_score

    asked = cli_score.PairsOrder(pairs, tuple(block or ()), section, resamples, seed, cache)
    cli_score.score_pairs_file(asked, data_root, as_json=as_json)
