"""Two recipes over one data root, trained in name alone: their steps up to the stages are there.

RRG24's test split has eight studies ``t0`` … ``t7``, each of a subject of its own. LLaVA-Rad
learned from another study of ``t1``'s subject and from a copy of ``t2``'s film, and ``t3`` has a
lateral film alone, which it cannot be shown. Answers are put where a model would have written them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from infra.artifact import Artifact, build_artifact
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.step import Step
from infra.store import Store
from sources.pixels import IMAGE_ROW_SCHEMA
from sources.prediction import PREDICTION_SCHEMA
from sources.record import STUDY_SCHEMA, Split
from sources.replicas.truth_file import TRUTH_FILE
from tasks.context import Context, Order
from tasks.examples.work import write_examples
from tasks.ingest.replicas import PIECE as TREE
from tasks.one_set.order import ComparisonOrder
from tasks.one_set.plan import Model
from tasks.predict.work import PREDICTIONS_FILE
from tasks.train.work import example_files
from tests.examples_world import REPORT_SCHEMA, World

EFFUSION = "There is a left pleural effusion. The heart is enlarged."
CLEAR = "The lungs are clear. No pleural effusion."
OVERRIDES = (
    "sources.pieces=1",
    "score.bootstrap_resamples=20",
    'llava_rad:sources.routes={mimic_cxr=["keep"]}',
    "llava_rad:score.judges=[]",
    "readings=[]",
)
RECIPES = ("gla_rrg24", "llava_rad")


def comparison(root: Path, **changes: Any) -> ComparisonOrder:
    """The order that compares both on RRG24's findings."""
    order = Order(scale="tiny", overrides=OVERRIDES, replicas=True, data_root=str(root / "data"))
    told = {"recipes": RECIPES, "on": "gla_rrg24", "resamples": 40, "order": order}
    return ComparisonOrder(**{**told, **changes})


def film(number: int) -> bytes:
    """A small grey PNG."""
    pixels = np.full((30, 40), number % 256, np.uint8)
    with io.BytesIO() as sink:
        Image.fromarray(pixels).save(sink, "PNG")
        return sink.getvalue()


def rows() -> World:
    """Studies of both sources."""
    world = World()

    def study(source: str, name: str, subject: str, split: str, **film_: Any) -> None:
        world.study(source, name, subject, split, images=[{"image_id": f"{name}a"}])
        world.image(source, name, f"{name}a", **film_)
        text = EFFUSION if name[1:] in "0246" else CLEAR
        reason = "Cough" if source == "mimic_cxr" else None
        world.report(source, name, findings=text, impression=text, indication=reason)

    same = bytes(range(len(world_hash())))
    for number in range(8):
        views: dict[str, Any] = {"view": "LATERAL"} if number == 3 else {}
        copied = {"phash": same} if number == 2 else {}
        study("rrg24", f"t{number}", f"p{number}", "test", **views, **copied)
    for number in range(3):
        split = "validate" if number == 2 else "train"
        study("rrg24", f"r{number}", f"q{number}", split)
        copied = {"phash": same} if number == 0 else {}
        study("mimic_cxr", f"m{number}", "p1" if number == 1 else f"o{number}", split, **copied)
    study("mimic_cxr", "m9", "o9", "test")
    for number, row in enumerate(world.images):
        row["pixels"] = film(number)
    return world


def world_hash() -> bytes:
    """A hash as long as any."""
    world = World()
    world.image("rrg24", "x", "y")
    found: bytes = world.images[0]["perceptual_hash"]
    return found


def put(store: Store, step: Step, files: Mapping[str, pa.Table | str], key: str = "p0") -> Artifact:
    """An artifact with one piece of those files."""

    def build(name: str, folder: Path) -> BuiltPiece:
        del name
        for file, content in files.items():
            if isinstance(content, pa.Table):
                write_table(folder / file, content)
            else:
                (folder / file).write_text(content)
        facts = {"examples": 3, "seconds": 1.0, "predictions": 4}
        return BuiltPiece((Count("rows", 1, 1),), facts)

    return build_artifact(store, step, lambda: {key: ""}, build)


def ingest(context: Context) -> None:
    """Every source's studies, films and texts."""
    world = rows()
    tables = {
        "studies": ("studies.parquet", world.studies, STUDY_SCHEMA),
        "images": ("images.parquet", world.images, IMAGE_ROW_SCHEMA),
        "reports": ("reports.parquet", world.reports, REPORT_SCHEMA),
    }
    for name in context.source_names:
        put(context.store, context.graph[f"replicas/{name}"], {TRUTH_FILE: ""}, TREE)
        for kind, (file, every, schema) in tables.items():
            own = [row for row in every if row["source"] == name]
            table = pa.Table.from_pylist(own, schema=schema)
            if kind == "reports":
                table = table.append_column("model", pa.nulls(len(own), pa.string()))
            put(context.store, context.graph[f"{kind}/{name}"], {file: table})


def train(context: Context) -> None:
    """Ingest, pack, and leave a folder where each stage's model would be."""
    ingest(context)
    for name in context.settings.sets:
        write_examples(context, name)
    for step in context.graph.of_kind("stages"):
        files = {"losses.jsonl": "", "result.json": "{}"}
        put(context.store, step, files, "model")


def answer(model: Model, write: Callable[[str, str], str]) -> None:
    """The model's predictions: of control and reference, what it writes."""
    context = model.shown
    found = []
    for path in example_files(context, Split.TEST):
        for row in pq.read_table(path).to_pylist():
            for control in ("none", *context.settings.score.controls):
                found.append(
                    {
                        **{key: row[key] for key in ("example_id", "source", "study_id")},
                        **{key: row[key] for key in ("subject_id", "split")},
                        "view": row["images"][0]["view"],
                        "control": control,
                        "image_study_id": row["study_id"] if control == "none" else None,
                        "prediction": write(control, row["target"]),
                        "reference": row["target"],
                        "finish_reason": "stop",
                        "tokens": 5,
                        "generated_ids": [1],
                    }
                )
    table = pa.Table.from_pylist(found, schema=PREDICTION_SCHEMA)
    put(context.store, context.step("predictions"), {PREDICTIONS_FILE: table})
