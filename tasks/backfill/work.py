"""What a backfill is about: which sources, and which shards of them.

A shard is a piece of a source (``p0003``): studies, images and reports of the same studies. Dates
choose the shards that hold a study taken then, for a shard is the least that is built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final, Literal

import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from infra.artifact import Artifact
from infra.errors import InputError
from tasks.context import Context
from tasks.ingest.studies import STUDIES_FILE

KINDS: Final = ("studies", "images", "reports")
"""The steps that work on one source alone, in their order."""
Until = Literal["ingest", "reports"]
_SHARD: Final = re.compile(r"p\d{4}")
Day = Annotated[str, Field(json_schema_extra={"format": "date"})]


class Backfill(BaseModel):
    """What a person asks for: a parameter of the flow, with what Prefect's pages show of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    only: tuple[str, ...] = Field(
        default=(), description="Names of sources; all of the recipe if none is given."
    )
    since: Day | None = Field(
        default=None, description="Shards with a study of this day or later, as 2015-01-31."
    )
    before: Day | None = Field(
        default=None, description="Shards with a study of before this day, as 2016-01-01."
    )
    shards: tuple[str, ...] = Field(
        default=(), description="Names of shards as manifests have them: p0003."
    )
    until: Until = Field(default="ingest", description="How far: ingest, or reports too.")
    again: bool = Field(
        default=False,
        description="Build the chosen shards although nothing changed; else only what changed.",
    )


@dataclass(frozen=True)
class Days:
    """Days from ``since`` on and before ``before``; None is no bound."""

    since: date | None
    before: date | None

    def __bool__(self) -> bool:
        return self.since is not None or self.before is not None


def days_of(asked: Backfill) -> Days:
    """The days that are asked for.

    Raises:
        InputError: one is no day, or there is none between them.
    """
    since, before = _day("since", asked.since), _day("before", asked.before)
    if since is not None and before is not None and since >= before:
        raise InputError(
            f"since {since} and before {before}", "a first day and a later one", "correct them"
        )
    return Days(since, before)


def _day(name: str, told: str | None) -> date | None:
    try:
        return None if told is None else date.fromisoformat(told)
    except ValueError:
        raise InputError(f"{name} '{told}'", "a day such as 2015-01-31", "correct it") from None


def chosen_sources(context: Context, asked: Backfill) -> tuple[str, ...]:
    """The sources that are asked for, in the recipe's order.

    Raises:
        InputError: one is not part of this run.
    """
    names = context.source_names
    for name in asked.only:
        if name not in names:
            raise InputError(
                f"source '{name}', which this run does not have",
                f"one of {', '.join(names)}",
                "correct it, or say where its raw data lies",
            )
    return tuple(name for name in names if not asked.only or name in asked.only)


def chosen_shards(studies: Artifact, asked: Backfill) -> tuple[str, ...]:
    """Shards of one source that are asked for, by name and by its studies' days.

    Raises:
        InputError: a shard is not there, or the source tells no days.
    """
    keys = [piece.key for piece in studies.pieces]
    for shard in asked.shards:
        if not _SHARD.fullmatch(shard) or shard not in keys:
            raise InputError(
                f"shard '{shard}' of {studies.step.name}",
                f"one of {keys[0]} to {keys[-1]}" if keys else "a shard, and it has none",
                "correct it",
            )
    days = days_of(asked)
    named = [key for key in keys if not asked.shards or key in asked.shards]
    if not days:
        return tuple(named)
    taken = {piece.key: _taken(studies, piece.key) for piece in studies.pieces}
    if not any(days_of_shard for days_of_shard in taken.values()):
        raise InputError(
            f"dates asked of {studies.step.name}, which tells none",
            "a source whose studies have a day",
            "choose by source or by shard",
        )
    return tuple(key for key in named if any(_within(day, days) for day in taken[key]))


def _taken(studies: Artifact, key: str) -> list[date]:
    """The days of a shard's studies, each once."""
    piece = next(piece for piece in studies.pieces if piece.key == key)
    file = next(file for file in piece.files if file.name == STUDIES_FILE)
    path = studies.store.local(f"{piece.folder}/{file.name}", file.digest)
    column = pq.read_table(path, columns=["acquired_on"])["acquired_on"]
    found: list[date] = pc.unique(pc.drop_null(column)).to_pylist()
    return found


def _within(day: date, days: Days) -> bool:
    after = days.since is None or day >= days.since
    return after and (days.before is None or day < days.before)


def pieces_again(chosen: Mapping[str, tuple[str, ...]]) -> dict[str, frozenset[str]]:
    """By step's ``kind/name``, the shards of each source that are built again.

    Reports are left out: they are built again where their studies became others, and answers that
    were paid are not asked for twice.
    """
    return {
        f"{kind}/{name}": frozenset(keys if kind != "reports" else ())
        for name, keys in chosen.items()
        for kind in KINDS
    }
