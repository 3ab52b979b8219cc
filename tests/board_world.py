"""A small scored data root, by the project's own writers, for the tests of the leaderboard."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
from tasks.ablate.plan import KIND as ABLATIONS
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
) -> Written:
    """Studies, examples, a stage, predictions and their scores, each an artifact.

    Args:
        changes: settings of the stage that differ from the preset's.
        document: the scores as they are, in place of those of the predictions.
        called: another name than the ability's, which no preset has.
    """
    store = store_at(root)
    preset = load_settings(recipe, scale)
    asked = preset.abilities[ability]
    table = predictions_table() if predictions is None else predictions
    name = called or ability
    inputs = {"replicas/mimic_cxr": "0" * 16} if replica else {}
    studies = put(store, Step("studies", "mimic_cxr", {}, inputs, 1, ()), "x.json", {})
    packed = Step("examples", asked.examples, {}, {"studies/mimic_cxr": studies}, 1, ())
    examples = put(store, packed, "x.json", {})
    stage = preset.stage(asked.stage).model_dump(mode="json") | (changes or {})
    settings = {"stage": stage, "models": preset.models.model_dump(mode="json")}
    trained = put(store, Step("stages", asked.stage, settings, {}, 1, ()), "x.json", {})
    behind = {f"stages/{asked.stage}": trained, f"examples/{asked.examples}": examples}
    predicted = put(
        store, Step("predictions", name, {"rows": digest(table)}, behind, 1, ()),
        PREDICTIONS_FILE, table,
    )  # fmt: skip
    chosen = SETTINGS.model_copy(update={"uncertain_as": uncertain_as})
    scored = (
        document
        or score_predictions(
            table, JUDGED_SCHEMA.empty_table(), chosen, section, max_new_tokens=64
        ).to_dict()
    )
    needs = {f"predictions/{name}": predicted}
    step = Step("scores", name, {"uncertain_as": uncertain_as}, needs, 1, ())
    return Written(put(store, step, SCORES_FILE, scored), predicted)


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
