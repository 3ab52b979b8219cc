"""The folder is the catalogue: every module of ``sources`` with a ``CARD`` is a source.

A source module has ``CARD: Card`` and ``read(root: Path) -> Reading``; its replica writer, where
there is one, is the module of the same name in ``sources.replicas`` with
``write(root: Path, spec: ReplicaSpec) -> None``. A module may have ``doubts(root) -> list[str]``:
what a person should know of files that can be read, and ``counted(reading) -> dict[str, int]``:
what was read of what its card counts, where that is more than rows. Nothing needs to be registered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import sources
import sources.replicas
from infra.errors import InputError
from sources.card import Card
from sources.record import Reading
from sources.replicas.truth import ReplicaSpec


@dataclass(frozen=True)
class Source:
    """One dataset: its card, its reader and, for gated data, the writer of its replica; ``doubts``
    gives lines on published files that can be read and are not what they should be, ``counted`` by
    the names of the card's counts what was read."""

    card: Card
    read: Callable[[Path], Reading]
    write_replica: Callable[[Path, ReplicaSpec], None] | None
    module: str
    doubts: Callable[[Path], list[str]]
    counted: Callable[[Reading], dict[str, int]]


@cache
def catalog() -> dict[str, Source]:
    """All sources by name, in alphabetical order."""
    replica_names = {module.name for module in iter_modules(sources.replicas.__path__)}
    found: dict[str, Source] = {}
    for info in sorted(iter_modules(sources.__path__), key=lambda item: item.name):
        if info.ispkg:
            continue
        module = import_module(f"sources.{info.name}")
        card = getattr(module, "CARD", None)
        if not isinstance(card, Card):
            continue
        assert card.name == info.name, f"{info.name}: the card says {card.name}"
        writer = None
        if info.name in replica_names:
            writer = import_module(f"sources.replicas.{info.name}").write
        doubts = getattr(module, "doubts", _no_doubts)
        counted = getattr(module, "counted", _no_counts)
        found[info.name] = Source(card, module.read, writer, module.__name__, doubts, counted)
    return found


def _no_counts(reading: Reading) -> dict[str, int]:
    del reading
    return {}


def _no_doubts(root: Path) -> list[str]:
    del root
    return []


def get_source(name: str) -> Source:
    """The source of that name.

    Raises:
        InputError: there is none.
    """
    try:
        return catalog()[name]
    except KeyError:
        raise InputError(
            f"source '{name}'", f"one of {', '.join(catalog())}", "see 'cxr sources'"
        ) from None
