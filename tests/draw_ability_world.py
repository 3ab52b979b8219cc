"""MedXChat in miniature: overrides that make a recipe of LLaVA-Rad's tiny one in which one model
reports and asks for films, and another draws them; and a data root with such models in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from diffusion_world import STAGES as DRAWING_STAGES
from diffusion_world import drawing_world
from models_world import picture, trained_world
from small_world import cxr_json

from infra.artifact import build_artifact
from infra.pieces import BuiltPiece, Count
from infra.settings import Settings, load_settings
from sources.example import Example, ExampleImage, Task, examples_to_table, request_turn
from sources.record import Origin, Split, Turn, View
from sources.xray_span import with_span
from tasks.context import Context, Order, open_context

STUDIES = 60
SIDE_PX = 32
DIFFUSION: dict[str, Any] = {
    "image_px": SIDE_PX,
    "autoencoder": {"channels": [8, 8], "latent_channels": 4, "groups": 4, "patch_px": 4},
    "unet": {"channels": [8, 16], "heads": [2, 2], "groups": 4},
    "noise": {"steps": 100, "prediction": "v_prediction", "to_the_end": True},
    "context_tokens": 64,
}
_QUICK = {"learning_rate": 3e-3, "batch_size": 8, "steps": 3, "precision": "float32"}
_WRITING: dict[str, dict[str, Any]] = {
    "language": {"trainable": ["language"]},
    "pretrain": {"trainable": ["vision", "text_encoder"]},
    "align": {"trainable": ["projector"], "starts_from": ["language", "pretrain"]},
    "finetune": {
        "trainable": ["projector", "lora"],
        "starts_from": ["align"],
        "lora": {"rank": 4, "alpha": 8},
        "examples": {"reports": 0.5, "requests": 0.5},
    },
}
ABILITIES: dict[str, dict[str, Any]] = {
    "report": {"stage": "finetune", "examples": "reports"},
    "draw": {
        "kind": "draw",
        "stage": "guide",
        "examples": "reports",
        "model_name": "toy-draw",
        "draw": {
            "steps": 2,
            "repeated": 2,
            "films": 2,
            "classifier": {"side_px": 32, "width": 4, "steps": 12, "batch_size": 16},
        },
    },
}


def inline(value: Any) -> str:
    """A value as TOML on one line, as ``--set`` takes it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}={inline(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(inline, value)) + "]"
    return json.dumps(value)


def stages(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    """All seven, those of CXR-SD last, each with its own changes."""
    return [
        {**_QUICK, "name": kind, "kind": kind, **told, **changes.get(kind, {})}
        for kind, told in {**_WRITING, **DRAWING_STAGES}.items()
    ]


def drawn(*more: str, abilities: dict[str, dict[str, Any]] | None = None) -> tuple[str, ...]:
    """The overrides."""
    return (
        'sources.routes={mimic_cxr=["keep"]}',
        'dialogues.routes={mimic_cxr=["request"]}',
        "sources.pieces=2",
        "images.short_side_px=64",
        "sets={reports={},requests={task='generate'}}",
        f"stages={inline(stages())}",
        f"models.diffusion={inline(DIFFUSION)}",
        f"abilities={inline(abilities or ABILITIES)}",
        "score.judges=[]",
        "score.bootstrap_resamples=20",
        "readings=[]",
        "generate.max_new_tokens=8",
        f"replicas.studies.mimic_cxr={STUDIES}",
        "replicas.side_px=144",
        *more,
    )


def drawn_recipe(*more: str, abilities: dict[str, dict[str, Any]] | None = None) -> Settings:
    """The recipe."""
    return load_settings("llava_rad", "tiny", drawn(*more, abilities=abilities))


def run_whole(root: Path, *more: str) -> Any:
    """The whole pipeline on the replica, as a user runs it; what it prints as JSON."""
    sets = [word for setting in drawn(*more) for word in ("--set", setting)]
    options = ("--scale", "tiny", "--replicas", "--data-root", str(root))
    return cxr_json("run", *options, *sets)


# A data root with trained models and examples in it, as a run would have left them.

SAID = (
    "The heart is enlarged. There is a left pleural effusion.",
    "There is a right pleural effusion. There is consolidation in the right lung.",
    "There is pulmonary edema. A pacemaker is in place.",
    "The heart is normal in size. The lungs are clear.",
)
COUNTS = {"train": 32, "validate": 8, "test": 28}


def film_example(number: int, split: str) -> Example:
    """A film with a bright square on the left or right, and one of four reports; two films a
    subject."""
    side = "left" if number % 2 else "right"
    shown = ExampleImage(f"i{number}", View.PA, picture(side, number), 28, 28)
    return Example(
        example_id=f"{split}-{number}",
        task=Task.FINDINGS,
        source="mimic_cxr",
        study_id=f"{split}-s{number}",
        subject_id=f"{split}-p{number // 2}",
        split=Split(split),
        text_version="keep",
        origin=Origin.RADIOLOGIST,
        images=(shown,),
        indication="Cough.",
        turns=(request_turn(Task.FINDINGS, "Cough."),),
        target=SAID[number % len(SAID)],
    )


def request_example(number: int, split: str) -> Example:
    """Somebody asks for such a film, and the answer that has it drawn."""
    text = SAID[number % len(SAID)]
    return Example(
        **{
            **vars(film_example(number, split)),
            "task": Task.GENERATE,
            "images": (),
            "indication": None,
            "turns": (Turn("user", f"Please show me a PA chest X-ray. {text}"),),
            "target": with_span("Here it is.", f"PA view of the chest was obtained. {text}"),
        }
    )


def drawn_context(root: Path, *more: str, data: Path | None = None) -> Context:
    """A context on replicas that are never written."""
    overrides = drawn(*more)
    return open_context(
        Order(data_root=str(data or root / "data"), replicas=True, overrides=overrides)
    )


def put_world(context: Context, counts: dict[str, int] | None = None) -> None:
    """The examples of both sets and the folders of the stages that are read."""
    for name, make in (("reports", film_example), ("requests", request_example)):
        rows = {
            split: [make(number, split) for number in range(count)]
            for split, count in (counts or COUNTS).items()
        }
        put_examples(context, name, rows)
    for name, folder in (
        ("pretrain", trained_world() / "pretrain"),
        ("finetune", trained_world() / "finetune"),
        ("guide", drawing_world() / "guide"),
    ):
        put_stage(context, name, folder)


def put_examples(context: Context, name: str, rows: Mapping[str, Sequence[Example]]) -> None:
    def build(key: str, folder: Path) -> BuiltPiece:
        for split, examples in rows.items():
            if examples:
                table = examples_to_table(list(examples))
                pq.write_table(table, folder / f"{split}-{key}.parquet", row_group_size=8)
        total = sum(map(len, rows.values()))  # of one piece, as its key tells
        return BuiltPiece((Count("examples", total, total),))

    build_artifact(
        context.store, context.graph[f"examples/{name}"], lambda: {"mimic_cxr-0000": ""}, build
    )


def put_stage(context: Context, name: str, made: Path) -> None:
    def build(key: str, folder: Path) -> BuiltPiece:
        del key
        shutil.copytree(made, folder, dirs_exist_ok=True)
        return BuiltPiece()

    build_artifact(context.store, context.graph[f"stages/{name}"], lambda: {"model": ""}, build)
