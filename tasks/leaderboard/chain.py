"""All that is behind one scoring: the steps that made it, and what in them is not a preset's.

Two runs of one recipe may differ anywhere: in how many steps an earlier stage had, in which mixture
it learned from, in how answers were generated. The steps behind scores tell all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from infra.artifact import Artifact, find_artifacts
from infra.fingerprint import fingerprint
from infra.settings import Settings, load_settings
from infra.step import Step
from infra.store import Store
from sources.catalog import get_source
from tasks.adapt import add_sources, fit_to_sources
from tasks.graph import build_graph

_LONGEST: Final = 32
"""Characters of a value in a name. Our choice: a list of sources is cut, a number is not."""


@dataclass
class Shelf:
    """A data root's artifacts by kind and fingerprint; each kind's manifests are read once."""

    store: Store
    _held: dict[str, dict[str, Artifact]] = field(default_factory=dict)

    def find(self, key: str, wanted: str) -> Artifact | None:
        """The artifact that an input ``kind/name`` is of; None of raw data, and of what is not
        here.

        Raises:
            ArtifactError: a manifest of that kind is damaged.
        """
        kind, _, name = key.partition("/")
        if not name:
            return None
        if kind not in self._held:
            found = find_artifacts(self.store, kind, "")
            self._held[kind] = {each.fingerprint: each for each in found}
        return self._held[kind].get(wanted)


def chain_of(shelf: Shelf, artifact: Artifact) -> dict[str, Step]:
    """The steps behind an artifact and its own, by ``kind/name``, as far as they are here."""
    waiting, found = [artifact.step], dict[str, Step]()
    while waiting:
        step = waiting.pop()
        key = f"{step.kind}/{step.name}"
        if key in found:
            continue
        found[key] = step
        for name, wanted in step.inputs.items():
            behind = shelf.find(name, wanted)
            if behind is not None:
                waiting.append(behind.step)
    return found


def configuration(chain: Mapping[str, Step]) -> str:
    """A digest of all settings and raw data, whatever the revisions of the code: equal for a run
    and the same run again after the code was changed."""
    told = {}
    for key, step in chain.items():
        others = {name: given for name, given in step.inputs.items() if name not in chain}
        told[key] = [step.settings, others]
    return fingerprint(told)


def changes_of(chain: Mapping[str, Step], preset: Settings, of: str) -> list[str]:
    """What in the chain is not the preset's, as ``place=value``, the nearest to the scores first.

    Args:
        of: the step of the preset's own chain, ``scores/NAME`` or ``stages/NAME``, whose chain it
            is.
    """
    sources = _sources(chain) or set(preset.sources.names)  # what is not here differs in nothing
    replicas = frozenset(name for name in sources if f"replicas/{name}" in chain)
    wanted = _behind(_graph(preset.recipe, preset.scale, frozenset(sources), replicas), of)
    found = []
    if sources != _named(preset, of, all_are_replicas=replicas == sources):
        found.append(f"sources {'+'.join(sorted(sources))}")
    for key, step in chain.items():
        if key in wanted:
            own = json.loads(json.dumps(dict(wanted[key].settings)))
            found += [
                f"{place}={_short(value)}" for place, value in _leaves(_place(key), own, step)
            ]
    return list(dict.fromkeys(found))


def _sources(chain: Mapping[str, Step]) -> set[str]:
    return {step.name for step in chain.values() if step.kind == "studies"}


def _named(preset: Settings, of: str, *, all_are_replicas: bool) -> set[str]:
    """Sources behind the step where all that the preset names are there; of a run on replicas those
    that have one."""
    names = frozenset(
        name
        for name in preset.sources.names
        if not all_are_replicas or get_source(name).write_replica is not None
    )
    return _sources(_behind(_graph(preset.recipe, preset.scale, names, names), of))


@cache
def _graph(
    recipe: str, scale: str, sources: frozenset[str], replicas: frozenset[str]
) -> Mapping[str, Step]:
    """The preset's steps as fitted to these sources; raw data are anybody's."""
    settings, _ = add_sources(load_settings(recipe, scale), sorted(sources))
    present = tuple(name for name in settings.sources.names if name in sources)
    fitted, _ = fit_to_sources(settings, present)
    given = {name: "" for name in present if name not in replicas}
    return build_graph(fitted, given, replicas).steps


def _behind(steps: Mapping[str, Step], of: str) -> dict[str, Step]:
    waiting, found = [of], dict[str, Step]()
    while waiting:
        key = waiting.pop()
        if key in steps and key not in found:
            found[key] = steps[key]
            waiting += steps[key].inputs
    return found


def _place(key: str) -> str:
    """What a step's settings are called in a name: a stage or a set by its own name."""
    kind, _, name = key.partition("/")
    return name if kind in ("stages", "examples") else kind if kind in _OWN else f"{kind}.{name}"


_OWN: Final = ("scores", "predictions", "classifiers")
"""Kinds of which a chain has one: the ability's own."""


def _leaves(place: str, own: Mapping[str, Any], step: Step) -> Iterator[tuple[str, Any]]:
    if step.kind == "stages":
        yield from _apart(place, own["stage"], step.settings["stage"])
        yield from _apart("models", own["models"], step.settings["models"])
    else:
        yield from _apart(place, own, step.settings)


def _apart(place: str, wanted: Any, held: Any) -> Iterator[tuple[str, Any]]:
    """By dotted place the values that differ; what one of the two lacks is null there."""
    if isinstance(wanted, Mapping) and isinstance(held, Mapping):
        for key in dict.fromkeys([*wanted, *held]):
            yield from _apart(f"{place}.{key}", wanted.get(key), held.get(key))
    elif wanted != held:
        yield place, held


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
