"""A small world for the model tests: shards of drawn examples, small shapes, and a trained chain.

An example's picture has a bright square on the left or on the right, and its text says so.
"""

from __future__ import annotations

import atexit
import io
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow.parquet as pq

from infra.runs import TrainRun
from infra.settings.sections import ImageSettings
from infra.settings.stages import ModelSettings, StageSettings
from models.train import train
from sources.example import Example, ExampleImage, Task, examples_to_table, request_turn
from sources.record import Origin, Split, View

SIDE_PX = 28
IMAGES = ImageSettings(short_side_px=SIDE_PX, smallest_side_px=16)

MODELS = ModelSettings.model_validate(
    {
        "embedding": 16,
        "vision": {"image_px": SIDE_PX, "patch_px": 7, "width": 32, "layers": 2, "heads": 2},
        "text_encoder": {
            "width": 32,
            "layers": 1,
            "heads": 2,
            "context_tokens": 32,
            "positions": 32,
            "vocabulary": 300,
            "projection_hidden": 24,
        },
        "language": {
            "width": 32,
            "feed_forward": 64,
            "layers": 2,
            "heads": 2,
            "vocabulary": 400,
            "context_tokens": 128,
            "positions": 160,
        },
    }
)

STAGES = {
    "language": {"kind": "language", "trainable": ["language"]},
    "pretrain": {"kind": "pretrain", "trainable": ["vision", "text_encoder"]},
    "align": {
        "kind": "align",
        "starts_from": ["language", "pretrain"],
        "trainable": ["projector"],
        "prompt": "image-only",
    },
    "finetune": {
        "kind": "finetune",
        "starts_from": ["align"],
        "trainable": ["projector", "lora"],
        "lora": {"rank": 4, "alpha": 8},
    },
}


def stage(name: str, **changes: object) -> StageSettings:
    """A quick stage of the small world."""
    base = {"name": name, "learning_rate": 3e-3, "batch_size": 8, "steps": 6, "save_steps": 2}
    return StageSettings.model_validate({**base, "precision": "float32", **STAGES[name], **changes})


def picture(side: str, seed: int, width: int = SIDE_PX, height: int = SIDE_PX) -> bytes:
    """PNG bytes of a grey picture with a bright square on that side."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(30, 90, (height, width)).astype(np.uint8)
    left = 4 if side == "left" else width - 12
    pixels[8:16, left : left + 8] = 250
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def example(number: int, split: str = "train", source: str = "mimic_cxr") -> Example:
    """Example ``number``: odd ones have the square on the left, every third an indication."""
    side = "left" if number % 2 else "right"
    indication = "Cough." if number % 3 == 0 else None
    image = ExampleImage(f"i{number}", View.PA, picture(side, number), SIDE_PX, SIDE_PX)
    return Example(
        example_id=f"{source}-{split}-{number}",
        task=Task.FINDINGS,
        source=source,
        study_id=f"s{number}",
        subject_id=f"p{number}",
        split=Split(split),
        text_version="keep",
        origin=Origin.RADIOLOGIST,
        images=(image,),
        indication=indication,
        turns=(request_turn(Task.FINDINGS, indication),),
        target=f"There is a nodule in the {side} lung. Case {number % 7}.",
    )


def write_shards(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Two training shards (two sources), one to validate, one to test; 40, 8 and 12 examples."""
    shards = {
        "train-0": [example(number) for number in range(24)],
        "train-1": [example(number, source="chexpert") for number in range(24, 40)],
        "validate": [example(number, "validate") for number in range(100, 108)],
        "test": [example(number, "test") for number in range(200, 212)],
    }
    for name, rows in shards.items():
        pq.write_table(examples_to_table(rows), folder / f"{name}.parquet", row_group_size=8)
    return {
        "train": (folder / "train-0.parquet", folder / "train-1.parquet"),
        "validate": (folder / "validate.parquet",),
        "test": (folder / "test.parquet",),
    }


def train_run(root: Path, settings: StageSettings, **changes: object) -> TrainRun:
    """A run of one stage under ``root``; its inputs are the earlier stages' folders there."""
    shards = root / "shards"
    if not shards.is_dir():
        shards.mkdir(parents=True)
        write_shards(shards)
    files = {
        "train_examples": (shards / "train-0.parquet", shards / "train-1.parquet"),
        "validate_examples": (shards / "validate.parquet",),
        "inputs": {name: root / name for name in settings.starts_from},
        "output": root / settings.name,
        "resume": root / "resume" / settings.name,
    }
    run = {"stage": settings, "models": MODELS, "device": "cpu", **files, **changes}
    return TrainRun.model_validate(run)


@cache
def trained_world() -> Path:
    """The root of a world whose four stages are trained; made once per process, never changed."""
    root = Path(tempfile.mkdtemp(prefix="cxrflow-models-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    for name in STAGES:
        assert train(train_run(root, stage(name))) == 0
    return root
