"""The scored runs of a data root: of which recipe, at which scale, on which test set.

A scores artifact tells none of this itself; the artifacts behind it do. The recipe is the one with
an ability of that name, on a set and a stage of those names, or the one that a comparison names;
the scale is the one whose preset all that is behind the scores is nearest to (``chain``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import pyarrow.parquet as pq

from infra.artifact import Artifact, checked_files, find_artifacts
from infra.errors import ArtifactError
from infra.fingerprint import fingerprint
from infra.settings import Settings, load_settings, preset_names
from infra.store import Store
from infra.tables import connect
from sources.record import Split
from tasks.ablate.plan import KIND as ABLATIONS
from tasks.leaderboard.chain import Shelf, chain_of, changes_of, configuration
from tasks.one_set.plan import KIND as COMPARISONS
from tasks.predict.work import PREDICTIONS_FILE
from tasks.score.work import SCORES_FILE

_IDENTITY: Final = ("source", "study_id", "reference")
"""Columns of predictions that say which test set it was, whoever made examples of it."""
_SHOWN_CHANGES: Final = 3  # our choice: what fits a line


@dataclass(frozen=True)
class TestSet:
    """Which examples were asked: sources, split, and a digest of studies and references."""

    __test__ = False  # no test, whatever pytest makes of the name

    dataset: str
    split: str
    digest: str


@dataclass(frozen=True)
class Run:
    """One scored run; ``variant`` names its matrix and variant, where an ablation made it.

    ``recipe`` and ``scale`` are None where no preset has such an ability. ``changes`` are all
    settings behind it that differ from the preset's. ``configuration`` is equal for runs of equal
    settings and raw data, whatever code made them. ``mark`` tells it from others of its name.
    """

    root: str
    name: str
    created_at: str
    recipe: str | None
    scale: str | None
    ability: str
    variant: str
    changes: tuple[str, ...]
    test: TestSet
    scores: Mapping[str, Any]
    configuration: str
    mark: str = ""

    @property
    def system(self) -> str:
        """What it is called: recipe, scale, ability where the recipe has several, variant or what
        was changed."""
        recipe = self.recipe or "unknown recipe"
        ability = "" if self.ability == self.recipe else f" {self.ability}"
        shown = [self.variant] if self.variant else list(self.changes[:_SHOWN_CHANGES])
        left = 0 if self.variant else len(self.changes) - len(shown)
        parts = [*shown, *([f"{left} more"] if left else []), *([self.mark] if self.mark else [])]
        return ", ".join([f"{recipe}{ability} {self.scale or ''}".rstrip(), *parts])


def find_runs(store: Store) -> list[Run]:
    """Every scored run, newest first.

    Raises:
        ArtifactError: a file that is needed is damaged, or a manifest is.
    """
    variants, compared, shelf = _variants(store), _compared(store), Shelf(store)
    return [
        _run(
            shelf,
            artifact,
            variants.get(artifact.fingerprint, ""),
            compared.get(artifact.fingerprint),
        )
        for artifact in find_artifacts(store, "scores", "")
    ]


def _compared(store: Store) -> dict[str, str]:
    """By fingerprint of scores, the recipe whose model a comparison asked on its one test set."""
    return {
        artifact.step.inputs[recipe]: recipe
        for artifact in find_artifacts(store, COMPARISONS, "")
        for recipe in artifact.step.settings["recipes"]
    }


def _variants(store: Store) -> dict[str, str]:
    """By fingerprint of scores, the ablation and variant that they are of."""
    found: dict[str, str] = {}
    for artifact in find_artifacts(store, ABLATIONS, ""):
        for variant, scores in artifact.step.inputs.items():
            found.setdefault(scores, f"{artifact.step.name}: {variant}")
    return found


def _run(shelf: Shelf, artifact: Artifact, variant: str, compared: str | None) -> Run:
    store = shelf.store
    [file] = checked_files(artifact, SCORES_FILE)
    scores = json.loads(file.read_text(encoding="utf-8"))
    predictions = _input(store, artifact, "predictions")
    stage, examples = (_input(store, predictions, kind) for kind in ("stages", "examples"))
    chain = chain_of(shelf, artifact)
    run = Run(
        store.root,
        artifact.folder.partition("/")[2],
        artifact.created_at,
        None,
        None,
        artifact.step.name,
        variant,
        (),
        test_set_of(store, predictions, examples),
        scores,
        configuration(chain),
    )
    if compared is None:
        presets = list(_presets_of(artifact.step.name, stage.step.name, examples.step.name))
        of = f"scores/{artifact.step.name}"
    else:
        presets = [one for one in _presets() if one.recipe == compared]
        presets = [one for one in presets if stage.step.name in {each.name for each in one.stages}]
        of, chain = f"stages/{stage.step.name}", chain_of(shelf, stage)
        run = replace(
            run, ability=artifact.step.name.removeprefix(f"{compared}-").replace("-", " ")
        )
    if not presets:
        return run
    apart = [(changes_of(chain, preset, of), preset) for preset in presets]
    changes, nearest = min(apart, key=lambda item: len(item[0]))
    return replace(run, recipe=nearest.recipe, scale=nearest.scale, changes=tuple(changes))


def _input(store: Store, artifact: Artifact, kind: str) -> Artifact:
    """The first input of that kind.

    Raises:
        ArtifactError: it is not there.
    """
    for key, wanted in artifact.step.inputs.items():
        if key.startswith(f"{kind}/"):
            for found in find_artifacts(store, kind, wanted):
                return found
    raise ArtifactError(
        f"found {store.root}/{artifact.folder} without its {kind}; expected both under one data "
        "root; run again what made it, or remove the folder"
    )


@cache
def _presets() -> tuple[Settings, ...]:
    return tuple(load_settings(recipe, scale) for recipe, scale in preset_names())


def _presets_of(ability: str, stage: str, examples: str) -> Iterator[Settings]:
    for preset in _presets():
        own = preset.abilities.get(ability)
        if own is not None and (own.stage, own.examples) == (stage, examples):
            yield preset


def test_set_of(store: Store, predictions: Artifact, examples: Artifact) -> TestSet:
    """Its sources, those of them that are replicas marked so, and the digest of what was asked."""
    files = [str(path) for path in checked_files(predictions, PREDICTIONS_FILE)]
    held = pq.read_schema(files[0]).names
    columns = ", ".join(name for name in _IDENTITY if name in held)
    query = f"SELECT {columns} FROM read_parquet($files) WHERE control = 'none' ORDER BY ALL"
    with connect() as connection:  # two threads may read at once
        rows = connection.execute(query, {"files": files}).fetchall()
    sources = sorted({row[0] for row in rows})
    replicas = {name for name in sources if _is_replica(store, examples, name)}
    named = [f"{name} (replica)" if name in replicas else name for name in sources]
    digest = fingerprint([list(row) for row in rows])
    return TestSet(", ".join(named) or "nothing", str(Split.TEST), digest)


def _is_replica(store: Store, examples: Artifact, source: str) -> bool:
    wanted = examples.step.inputs.get(f"studies/{source}")
    found = find_artifacts(store, "studies", wanted) if wanted else []
    return any(f"replicas/{source}" in each.step.inputs for each in found)
