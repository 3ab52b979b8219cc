"""Shards, labels and small checkpoints for the tests of what reads films."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file
from transformers import Dinov2Config
from transformers.models.dinov2 import Dinov2Model

from infra.film_runs import ClassifyRun
from models.densenet import XrvDenseNet
from sources.film import FILM_SCHEMA, LABEL_SCHEMA
from tests.models_world import picture, write_shards

TARGETS = ("square, left", "square, right")


def drawn_shard(path: Path, count: int = 10) -> Path:
    """Drawn films: an odd number's square is on the left."""
    sides = ["left" if number % 2 else "right" for number in range(count)]
    columns = {
        "film_id": [f"f{number}" for number in range(count)],
        "prompt_id": [f"p{number // 2}" for number in range(count)],
        "pixels": [picture(side, 500 + number) for number, side in enumerate(sides)],
    }
    pq.write_table(pa.table(columns, schema=FILM_SCHEMA), path)
    return path


def labelled_run(root: Path, **changes: object) -> ClassifyRun:
    """A short training on the small world's films; labels are which side the square is on."""
    shards = root / "shards"
    if not shards.is_dir():
        shards.mkdir(parents=True)
        write_shards(shards)
    files = [shards / f"{name}.parquet" for name in ("train-0", "train-1", "validate", "test")]
    ids = [name for file in files for name in pq.read_table(file)["example_id"].to_pylist()]
    odd = [int(name.rpartition("-")[2]) % 2 == 1 for name in ids]
    targets = [[float(left), float(not left)] for left in odd]
    table = pa.table({"film_id": ids, "targets": targets}, schema=LABEL_SCHEMA)
    pq.write_table(table, root / "labels.parquet")
    run = {
        "train_films": tuple(files[:2]), "validate_films": (files[2],),
        "labels": root / "labels.parquet", "targets": TARGETS, "side_px": 32, "width": 8,
        "steps": 60, "batch_size": 16, "validate_steps": 20, "output": root / "classifier",
        "device": "cpu",
    }  # fmt: skip
    return ClassifyRun.model_validate({**run, **changes})


def densenet_checkpoint(folder: Path, *, thresholds: bool = True) -> XrvDenseNet:
    """A small DenseNet in torchxrayvision's key layout, with its norms away from 0 and 1."""
    torch.manual_seed(0)
    network = XrvDenseNet(stem=8, growth=4, bottleneck=6, layers=(1, 2, 1, 2), classes=18).eval()
    for each in network.modules():
        if isinstance(each, torch.nn.BatchNorm2d):
            assert each.running_mean is not None
            assert each.running_var is not None
            each.running_mean.normal_(0, 0.1)
            each.running_var.uniform_(0.5, 1.5)
    state = {name: each.clone() for name, each in network.state_dict().items()}
    if thresholds:
        state["op_threshs"] = torch.rand(18)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors")
    return network


def rad_dino_folder(folder: Path) -> Dinov2Model:
    """A small DINOv2 in RAD-DINO's layout: two files of the model and the grey levels."""
    torch.manual_seed(1)
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    model = Dinov2Model(config).eval()
    model.save_pretrained(folder)
    levels = {"image_mean": [0.5307] * 3, "image_std": [0.2583] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(levels))
    return model
