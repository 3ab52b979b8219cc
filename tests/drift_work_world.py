"""A champion that was judged on thirty studies, and a source that has brought more since.

Steps are put where the workflow would have made them, by its own writers; what the champion wrote
is put where its process would have written it. Recent studies' films and reports are as the test
wants them.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from evaluation.judged import JUDGED_SCHEMA
from infra.settings.sections import ScoreSettings
from infra.step import Step
from sources.pixels import IMAGE_ROW_SCHEMA
from sources.prediction import PREDICTION_SCHEMA
from sources.record import STUDY_SCHEMA, Split
from sources.replicas.truth_file import TRUTH_FILE
from tasks.context import Context, Order, open_context
from tasks.drift.order import MonitorOrder
from tasks.drift.plan import DriftPlan, plan_drift
from tasks.drift.recent import pack_recent
from tasks.examples.work import write_examples
from tasks.ingest.replicas import PIECE as TREE
from tasks.predict.work import PREDICTIONS_FILE
from tasks.train.work import example_files
from tests.examples_world import REPORT_SCHEMA, World
from tests.one_set_world import put
from tests.pixel_samples import eight_bit, film
from tests.promote_world import PromoteWorld
from tests.registry_world import add_version

EFFUSION = "There is a left pleural effusion. The heart is enlarged."
CLEAR = "The lungs are clear. No pleural effusion."
OVERRIDES = (
    "sources.pieces=2",
    'sources.routes={mimic_cxr=["keep"]}',
    "score.judges=[]",
    "score.bootstrap_resamples=20",
    "readings=[]",
)
MODEL = "llava_rad"
JUDGED = 30
FIRST_DAY = date(2026, 11, 1)


def picture(number: int, bright: float) -> bytes:
    """A small chest as PNG."""
    pixels = eight_bit(film(120, 96, seed=number % 8)).astype(np.float32) * bright
    small = cv2.resize(np.clip(pixels, 0, 255).astype(np.uint8), (48, 60))
    with io.BytesIO() as sink:
        Image.fromarray(small).save(sink, "PNG")
        return sink.getvalue()


def text_of(number: int) -> str:
    return EFFUSION if number % 3 == 0 else CLEAR


@dataclass(frozen=True)
class Recent:
    """What has arrived: how many studies, how bright, with what text; ``same_subject`` gives the
    first of them to a subject that was learned from."""

    studies: int = 30
    bright: float = 1.0
    text: Callable[[int], str] = text_of
    answer: Callable[[str], str] = str
    same_subject: bool = False


def order(root: Path, seed: int) -> Order:
    """Another seed is another delivery of the source."""
    return Order(
        scale="tiny",
        overrides=(*OVERRIDES, f"replicas.seed={seed}"),
        replicas=True,
        data_root=str(root),
    )


def add_study(
    world: World, name: str, subject: str, split: str | None, bright: float, text: str
) -> None:
    number = int(name[1:])
    day = FIRST_DAY + timedelta(days=number % 20)
    world.study("mimic_cxr", name, subject, split, images=[{"image_id": f"{name}a"}],
                acquired_on=day)  # fmt: skip
    world.image("mimic_cxr", name, f"{name}a")
    world.images[-1]["pixels"] = picture(number, bright)
    world.report("mimic_cxr", name, findings=text, impression=text)


def known_world() -> World:
    """What the champion was made and judged with."""
    world = World()
    for number in range(JUDGED):
        add_study(world, f"t{number}", f"p{number}", "test", 1.0, text_of(number))
    for number in range(6):
        split = "validate" if number > 3 else "train"
        add_study(world, f"r{number}", f"q{number}", split, 1.0, text_of(number))
    return world


def ingest(context: Context, world: World) -> None:
    put(context.store, context.graph["replicas/mimic_cxr"], {TRUTH_FILE: ""}, TREE)
    tables = {
        "studies": ("studies.parquet", world.studies, STUDY_SCHEMA),
        "images": ("images.parquet", world.images, IMAGE_ROW_SCHEMA),
        "reports": ("reports.parquet", world.reports, REPORT_SCHEMA),
    }
    for kind, (file, rows, schema) in tables.items():
        table = pa.Table.from_pylist(rows, schema=schema)
        if kind == "reports":
            table = table.append_column("model", pa.nulls(len(rows), pa.string()))
        put(context.store, context.graph[f"{kind}/mimic_cxr"], {file: table})


def answers(context: Context, write: Callable[[str], str]) -> None:
    """Predictions of the context's ability on its test shards."""
    rows: list[dict[str, Any]] = []
    for path in example_files(context, Split.TEST):
        for row in pq.read_table(path).to_pylist():
            ids = {key: row[key] for key in ("example_id", "source", "study_id", "subject_id")}
            rows.append(
                {
                    **ids,
                    "split": row["split"],
                    "view": row["images"][0]["view"],
                    "control": "none",
                    "image_study_id": row["study_id"],
                    "prediction": write(row["target"]),
                    "reference": row["target"],
                    "finish_reason": "stop",
                    "tokens": 5,
                    "generated_ids": [1],
                }
            )
    table = pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA)
    put(context.store, context.step("predictions"), {PREDICTIONS_FILE: table}, "test")


def make_champion(root: Path) -> int:
    """Everything behind a registered champion; its version."""
    context = open_context(order(root, 60))
    ingest(context, known_world())
    for name in context.settings.sets:
        write_examples(context, name)
    for step in context.graph.of_kind("stages"):
        put(context.store, step, {"losses.jsonl": "", "result.json": "{}"}, "model")
    answers(context, str)
    score(context, context.step("scores"))
    receipt = put(context.store, context.graph[f"models/{MODEL}"], {"receipt.json": "{}"})
    registry = PromoteWorld(root).registry
    version = add_version(registry, MODEL, {f"cxrflow.models.{MODEL}": receipt.fingerprint})
    registry.point(MODEL, "champion", version)
    return version


def score(context: Context, step: Step) -> None:
    from evaluation.scores import score_predictions

    files = context.artifact(f"predictions/{context.ability}").files(PREDICTIONS_FILE)
    table = pa.concat_tables([pq.read_table(path) for path in files])
    judged = JUDGED_SCHEMA.empty_table()
    settings = ScoreSettings(bootstrap_resamples=20, judges=())
    found = score_predictions(table, judged, settings, "findings", max_new_tokens=64)
    put(context.store, step, {"scores.json": "{}", "counts.parquet": found.counts})


def arrive(root: Path, recent: Recent, night: int = 1, **asked: Any) -> DriftPlan:
    """More studies come, the champion is asked; the plan of the look, ready to be taken."""
    told = order(root, 60 + night)
    world = known_world()
    for number in range(recent.studies):
        subject = "q0" if recent.same_subject and not number else f"n{number}"
        name = f"n{number + 100}"
        add_study(world, name, subject, "train", recent.bright, recent.text(number))
    ingest(open_context(told), world)
    plan = plan_drift(MonitorOrder(model=MODEL, order=told, **asked))
    pack_recent(plan)
    answers(plan.shown, recent.answer)
    return plan
