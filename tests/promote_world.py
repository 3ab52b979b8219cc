"""A data root with models that were scored and registered, by the project's own writers.

Each model answers a hundred test studies of fifty subjects; what it writes is put where a model
would have written it. Its registered version is a version in name alone, with the lineage's tags.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaluation.judged import JUDGED_SCHEMA
from evaluation.scores import score_predictions
from infra.artifact import Artifact, build_artifact
from infra.parquet import write_table
from infra.pieces import BuiltPiece
from infra.registry import Registry
from infra.settings.sections import ScoreSettings
from infra.step import Step
from infra.store import Store
from sources.perceptual_hash import HASH_BYTES
from tasks.promote.work import EXPERIMENT
from tests.registry_world import MODEL, add_version, registry_at
from tests.scores_world import NORMAL, TEXTS, prediction_row

SETTINGS = ScoreSettings(bootstrap_resamples=50, seed=3, judges=())
CONTROLS = ("none", "shuffled", "blank")
STUDIES = 100
Right = Callable[[int], bool]


def mostly(number: int) -> bool:
    """Right about four of five."""
    return number % 5 != 0


def rarely(number: int) -> bool:
    """Right about one of five."""
    return number % 5 == 0


def always(number: int) -> bool:
    return number >= 0


def never(number: int) -> bool:
    return number < 0


@dataclass(frozen=True)
class Told:
    """What a model is.

    Args:
        right: about which examples it is right; else it writes a normal chest, as controls do.
        learned: subject and film hash of further training studies, by study.
        weights: what its language model began with.
        shuffled: about which it is right with another's film.
        resamples: of the intervals that its recipe asks for; so ``seed``.
        replica: whether its data are synthetic.
    """

    right: Right = mostly
    studies: int = STUDIES
    learned: tuple[tuple[str, str, int], ...] = ()
    weights: str = ""
    shuffled: Right = never
    resamples: int = SETTINGS.bootstrap_resamples
    seed: int = SETTINGS.seed
    replica: bool = True
    source: str = "mimic_cxr"
    scale: str = "tiny"


def put(store: Store, step: Step, files: Mapping[str, pa.Table | str]) -> Artifact:
    """An artifact with one piece of those files."""

    def build(key: str, folder: Path) -> BuiltPiece:
        for name, content in files.items():
            if isinstance(content, pa.Table):
                write_table(folder / name, content)
            else:
                (folder / name).write_text(content)
        return BuiltPiece((), {"key": key})

    return build_artifact(store, step, lambda: {"p0": ""}, build)


def step(kind: str, name: str, settings: Mapping[str, Any], **inputs: Artifact) -> Step:
    told = {f"{one.step.kind}/{one.step.name}": one.fingerprint for one in inputs.values()}
    return Step(kind, name, dict(settings), told, 1, ())


def hash_of(number: int) -> bytes:
    """Far from that of every other number."""
    return hashlib.sha512(str(number).encode()).digest()[:HASH_BYTES]


def predictions(told: Told) -> pa.Table:
    right = {"none": told.right, "shuffled": told.shuffled, "blank": never}
    rows = [
        prediction_row(
            number,
            control,
            TEXTS[number % len(TEXTS)] if right[control](number) else NORMAL,
            source=told.source,
        )
        for number in range(told.studies)
        for control in CONTROLS
    ]
    return pa.Table.from_pylist(rows)


def _examples(store: Store, told: Told) -> Artifact:
    """Studies, films and shards of test and training."""
    origin = {f"replicas/{told.source}": "0" * 16} if told.replica else {}
    studies = put(store, Step("studies", told.source, {}, origin, 1, ()), {"x.json": "{}"})
    test = [(f"s{number:04}", f"p{number // 2:04}", number) for number in range(told.studies)]
    train = [("t0", "q0", 200), *told.learned]
    films = pa.Table.from_pylist(
        [
            {
                "source": told.source,
                "study_id": study,
                "image_id": f"{study}a",
                "perceptual_hash": hash_of(place),
            }
            for study, _, place in {row[0]: row for row in [*test, *train]}.values()
        ]
    )
    key = {"learned": [list(row) for row in told.learned], "studies": told.studies}
    images = put(store, step("images", told.source, key, s=studies), {"images.parquet": films})
    shards = {
        f"{split}-000.parquet": pa.Table.from_pylist(
            [
                {"source": told.source, "study_id": row[0], "subject_id": row[1], "split": split}
                for row in rows
            ]
        )
        for split, rows in (("test", test), ("train", train))
    }
    return put(store, step("examples", "reports", key, s=studies, i=images), shards)


def write_scores(
    store: Store, told: Told, name: str, stage: Artifact, examples: Artifact
) -> Artifact:
    """Predictions and their scores."""
    table = predictions(told)
    key = {
        "right": [[told.right(each), told.shuffled(each)] for each in range(told.studies)],
        "draws": [told.resamples, told.seed],
    }
    files: dict[str, pa.Table | str] = {"predictions.parquet": table}
    predicted = put(store, step("predictions", name, key, s=stage, e=examples), files)
    judged = JUDGED_SCHEMA.empty_table()
    draws = {"bootstrap_resamples": told.resamples, "seed": told.seed}
    settings = SETTINGS.model_copy(update=draws)
    scores = score_predictions(table, judged, settings, "findings", max_new_tokens=64)
    kept = {
        "scores.json": json.dumps(scores.to_dict()),
        "counts.parquet": scores.counts,
        "judged.parquet": judged,
    }
    return put(store, step("scores", name, {"judges": [], **draws}, p=predicted), kept)


def write_model(store: Store, told: Told) -> tuple[dict[str, str], Artifact, Artifact]:
    """All artifacts of a model; the tags of its version, its stage and its examples."""
    examples = _examples(store, told)
    known = {"right": [told.right(number) for number in range(told.studies)]}
    models = {"language": {"weights": told.weights}, "vision": {"weights": ""}}
    stage = put(
        store, step("stages", "finetune", {**known, "models": models}, e=examples), {"m": "m"}
    )
    scores = write_scores(store, told, MODEL, stage, examples)
    receipt = put(store, step("models", MODEL, {}, stage=stage, scores=scores), {"r.json": "{}"})
    tags = {f"cxrflow.models.{MODEL}": receipt.fingerprint, "cxrflow.scale": told.scale}
    return tags, stage, examples


@dataclass(frozen=True)
class PromoteWorld:
    """A data root and its registry, where the command finds them."""

    root: Path

    @property
    def store(self) -> Store:
        return Store(str(self.root), self.root / ".state")

    @property
    def registry(self) -> Registry:
        place = self.root / ".state" / "mlflow"
        found = registry_at(f"sqlite:///{place / 'mlflow.db'}", place / "artifacts")
        assert found.book.experiment == EXPERIMENT
        return found

    def register(self, told: Told, alias: str = "candidate") -> int:
        """A version; the candidate unless it is told otherwise."""
        tags, _, _ = write_model(self.store, told)
        number = add_version(self.registry, MODEL, tags)
        self.registry.point(MODEL, alias, number)
        return number
