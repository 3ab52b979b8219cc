"""What identifies an artifact, and why one would be built: settings, inputs and a revision."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from infra.fingerprint import fingerprint
from infra.record_file import read_record
from infra.store import Store

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Step:
    """What identifies an artifact.

    Args:
        kind, name: its folder; the name is a source, a stage or a recipe.
        settings: the step's own section of the recipe, as JSON values.
        inputs: fingerprint of each input by name.
        revision: raised by a person when the code changes the output.
        code: dotted modules whose reachable code is recorded, to tell drift.
    """

    kind: str
    name: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    revision: int
    code: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        return fingerprint(
            {
                "step": f"{self.kind}/{self.name}",
                "settings": self.settings,
                "inputs": self.inputs,
                "revision": self.revision,
            }
        )

    @property
    def folder(self) -> str:
        return f"{self.kind}/{self.name}-{self.fingerprint}"


Watcher = Callable[[Step, bool], None]
"""Told of a step when it is looked at (False), and again when something of it is to be built."""
_WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Within the block the watcher is told of every step that this thread works on."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


_AGAIN: ContextVar[Mapping[str, frozenset[str]] | None] = ContextVar("again", default=None)


@contextmanager
def made_again(pieces: Mapping[str, frozenset[str]]) -> Iterator[None]:
    """Within the block these pieces are built although they are there, and what is made of them is
    held against its inputs anew.

    Args:
        pieces: keys of pieces by a step's ``kind/name``.
    """
    token = _AGAIN.set(pieces)
    try:
        yield
    finally:
        _AGAIN.reset(token)


def asked_again(step: Step) -> frozenset[str] | None:
    """The pieces of a step that are to be built whatever is there; None where nobody asked."""
    asked = _AGAIN.get()
    return None if asked is None else asked.get(f"{step.kind}/{step.name}")


def tell_watcher(step: Step, *, building: bool) -> None:
    """Tell whoever watches this thread, if anybody does."""
    watcher = _WATCHER.get()
    if watcher is not None:
        watcher(step, building)


def sibling_manifests(store: Store, step: Step) -> list[dict[str, Any]]:
    """Manifests of the same kind and name with another fingerprint, newest first."""
    found = []
    for name in store.list_folder(step.kind):
        if name.rpartition("-")[0] == step.name and f"{step.kind}/{name}" != step.folder:
            manifest = read_record(store, f"{step.kind}/{name}/{MANIFEST}")
            if manifest is not None:
                found.append(manifest)
    return sorted(found, key=lambda manifest: str(manifest["created_at"]), reverse=True)


def why_built(
    store: Store, step: Step, damaged: Sequence[str], broken: bool, again: Collection[str]
) -> str:
    """Why something of a step is built, in words.

    Args:
        damaged: keys of its damaged pieces.
        broken: whether its manifest is damaged.
        again: keys of pieces that somebody asked for again.
    """
    if again:
        return f"asked again: {', '.join(sorted(again))}"
    if damaged:
        return f"damaged: {', '.join(damaged)}"
    return "damaged manifest" if broken else why_absent(store, step)


def why_absent(store: Store, step: Step) -> str:
    """Why a step would run: what differs from the newest sibling, in words."""
    siblings = sibling_manifests(store, step)
    if not siblings:
        return "never built"
    newest = siblings[0]
    changes = [
        f"input {name} changed"
        for name in sorted(step.inputs.keys() | newest["inputs"].keys())
        if step.inputs.get(name) != newest["inputs"].get(name)
    ]
    changes += _setting_changes("", newest["settings"], json.loads(json.dumps(step.settings)))
    if newest["revision"] != step.revision:
        changes.append(f"code revision {newest['revision']} became {step.revision}")
    return "; ".join(changes[:4]) or "another run"


def _setting_changes(prefix: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for key in sorted(old.keys() | new.keys())
            for line in _setting_changes(f"{prefix}{key}.", old.get(key), new.get(key))
        ]
    return [] if old == new else [f"{prefix.rstrip('.')} {old!r} became {new!r}"]
