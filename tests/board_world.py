"""A small scored data root, by the project's own writers, for the tests of the leaderboard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaluation.judged import JUDGED_SCHEMA
from evaluation.scores import score_predictions
from infra.artifact import build_artifact
from infra.fingerprint import fingerprint
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.settings import load_settings
from infra.settings.sections import ScoreSettings
from infra.step import Step
from infra.store import Store
from sources.catalog import get_source
from tasks.ablate.plan import KIND as ABLATIONS
from tasks.adapt import fit_to_sources
from tasks.graph import Graph, build_graph
from tasks.predict.work import PREDICTIONS_FILE
from tasks.score.work import SCORES_FILE
from tests.scores_world import predictions_table

SETTINGS = ScoreSettings(bootstrap_resamples=20, seed=3, judges=())


@dataclass(frozen=True)
class Written:
    """What a scored run left: its fingerprints."""

    scores: str
    predictions: str


def store_at(root: Path) -> Store:
    return Store(str(root), root / ".state")


def put(store: Store, step: Step, name: str, content: Any) -> str:
    """An artifact with one file, a table or a JSON document; its fingerprint."""

    def build(key: str, folder: Path) -> BuiltPiece:
        del key
        if isinstance(content, pa.Table):
            write_table(folder / name, content)
        else:
            (folder / name).write_text(json.dumps(content))
        return BuiltPiece((Count("rows", 1, 1),), {})

    return build_artifact(store, step, lambda: {"all": ""}, build).fingerprint


def write_run(
    root: Path,
    *,
    ability: str = "llava_rad",
    recipe: str = "llava_rad",
    scale: str = "tiny",
    predictions: pa.Table | None = None,
    uncertain_as: str = "negative",
    replica: bool = True,
    changes: dict[str, Any] | None = None,
    section: str = "findings",
    document: dict[str, Any] | None = None,
    called: str | None = None,
    behind: dict[str, dict[str, Any]] | None = None,
    revision: int = 1,
) -> Written:
    """Everything behind a recipe's predictions, and their scores, each an artifact.

    Args:
        changes: settings of the stage that differ from the preset's.
        document: the scores as they are, in place of those of the predictions.
        called: another name than the ability's, which no preset has.
        behind: by ``kind/name`` settings of other steps that differ from the preset's.
        revision: of the code that made all of it.
    """
    store = store_at(root)
    preset = load_settings(recipe, scale)
    asked = preset.abilities[ability]
    table = predictions_table() if predictions is None else predictions
    name = called or ability
    names = tuple(each for each in preset.sources.names if get_source(each).write_replica)
    graph = build_graph(fit_to_sources(preset, names)[0], {}, frozenset(names))
    told = {f"stages/{asked.stage}": {"stage": changes or {}}, **(behind or {})}
    last = f"predictions/{ability}"
    steps = [graph[key] for key in upstream(graph, last)]
    kept = [step for step in steps if replica or step.kind != "replicas"]
    made = put_steps(store, kept, told, last, name, table, revision)
    predicted = made[f"predictions/{ability}"]
    chosen = SETTINGS.model_copy(update={"uncertain_as": uncertain_as})
    scored = (
        document
        or score_predictions(
            table, JUDGED_SCHEMA.empty_table(), chosen, section, max_new_tokens=64
        ).to_dict()
    )
    needs = {f"predictions/{name}": predicted}
    policy = {"uncertain_as": uncertain_as} if uncertain_as != "negative" else {}
    own = merged(graph[f"scores/{ability}"].settings, policy)
    step = Step("scores", name, own, needs, revision, ())
    return Written(put(store, step, SCORES_FILE, scored), predicted)


def put_steps(
    store: Store,
    steps: Sequence[Step],
    told: Mapping[str, Mapping[str, Any]],
    last: str,
    name: str,
    table: pa.Table,
    revision: int,
) -> dict[str, str]:
    """An artifact for each step, with what is told of its settings; fingerprints by key.

    Args:
        last: the predictions' key, which are called ``name`` and hold ``table``.
    """
    made: dict[str, str] = {}
    for step in steps:
        key = f"{step.kind}/{step.name}"
        settings = merged(step.settings, told.get(key, {}))
        inputs = {need: made[need] for need in step.inputs if need in made}
        called = step.name
        if key == last:
            called, inputs = name, {**inputs, "rows": digest(table)}
        content: Any = table if step.kind == "predictions" else {}
        file = PREDICTIONS_FILE if step.kind == "predictions" else "x.json"
        own = Step(step.kind, called, settings, inputs, revision, ())
        made[key] = put(store, own, file, content)
    return made


def upstream(graph: Graph, key: str) -> list[str]:
    """The steps behind one and itself, in an order in which they can run."""
    wanted = {key}
    for other in reversed(graph.steps):
        if other in wanted:
            wanted |= graph[other].inputs.keys()
    return [each for each in graph.steps if each in wanted]


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those of ``changes`` in their places."""
    return {
        **settings,
        **{
            key: merged(settings[key], value)
            if isinstance(value, Mapping) and isinstance(settings.get(key), Mapping)
            else value
            for key, value in changes.items()
        },
    }


def digest(table: pa.Table) -> str:
    """Something that differs where the predictions do."""
    told = table.select(["prediction", "reference"]).to_pylist()
    return fingerprint([list(row.values()) for row in told])


def write_ablation(root: Path, matrix: str, variants: dict[str, str]) -> str:
    """The artifact of a matrix over scores by variant's name."""
    return put(store_at(root), Step(ABLATIONS, matrix, {}, variants, 1, ()), "x.json", {})


def renamed(table: pa.Table, column: str, values: Sequence[str]) -> pa.Table:
    """The table with other values in a column."""
    return table.set_column(table.schema.get_field_index(column), column, pa.array(values))
