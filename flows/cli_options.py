"""Options that several commands share, and the order that they make up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tasks.context import Order

Recipe = Annotated[str, typer.Option(help="Which published system to reproduce.")]
Scale = Annotated[str, typer.Option(help="paper or tiny; see 'cxr config --list'.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a setting: key.path=value; repeatable."),
]
RecipeSets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Override of all recipes, or of one: RECIPE:key.path=value; repeatable."
    ),
]
Sources = Annotated[
    list[str] | None,
    typer.Option("--source", help="Where raw data lies: name=path; repeatable."),
]
DataRoot = Annotated[
    str | None, typer.Option(help="Folder or URL for all artifacts [CXR_DATA_ROOT, else data].")
]
Replicas = Annotated[
    bool, typer.Option("--replicas", help="Synthetic stand-ins for sources without raw data.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what exists and what would be built, then stop.")
]
Judges = Annotated[
    list[str] | None, typer.Option("--judge", help="Model that counts errors; repeatable.")
]
Out = Annotated[Path | None, typer.Option(help="Folder to write tables and picture to.")]
Resamples = Annotated[int, typer.Option(min=10, max=10**6, help="Bootstrap resamples of subjects.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Equal seeds give equal intervals.")]
ScoredRun = Annotated[
    str | None,
    typer.Argument(help="Fingerprint, folder under scores/, or models:/…; else the newest."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


def order_of(
    recipe: str,
    scale: str,
    sets: list[str] | None,
    source: list[str] | None,
    data_root: str | None,
    replicas: bool,
) -> Order:
    """What a person asks of a recipe."""
    from tasks.context import Order

    return Order(
        recipe=recipe,
        scale=scale,
        overrides=tuple(sets or ()),
        sources=tuple(source or ()),
        data_root=data_root,
        replicas=replicas,
    )
