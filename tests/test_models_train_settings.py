"""What a training run is refused for, and how its settings reach the trainer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from models_world import MODELS, stage, train_run, trained_world, write_shards

from infra.errors import InputError, Unavailable
from infra.runs import write_run
from infra.settings.stages import StageSettings
from infra.weights import weights_folder
from models.data import ExampleShards
from models.stages import prepare
from models.tokenizers import load_tokenizer
from models.train import (
    require_one_gpu_or_launcher,
    spread_batch,
    total_steps,
    train,
    training_arguments,
    training_order,
)
from models.weights import input_of_type

HOUSE = Path(__file__).parent.parent


def test_missing_input_stage_is_named() -> None:
    root = trained_world()
    run = train_run(root, stage("align"), inputs={"language": root / "language"})
    with pytest.raises(InputError) as error:
        input_of_type(run, "cxr-dual-encoder")
    assert str(error.value) == (
        "found inputs of stage 'align' (language: llama); expected a model of type "
        "cxr-dual-encoder; name the stage that makes it in starts_from"
    )


def test_empty_input_folder_is_named(tmp_path: Path) -> None:
    run = train_run(tmp_path, stage("finetune"))
    with pytest.raises(InputError, match=r"found no readable config\.json in"):
        input_of_type(run, "llava")


def test_missing_published_weights_are_unavailable(tmp_path: Path) -> None:
    run = train_run(tmp_path, stage("align"))
    with pytest.raises(Unavailable) as error:
        weights_folder(run.weights_root, "lmsys/vicuna-7b-v1.5")
    assert str(error.value) == (
        "weights lmsys/vicuna-7b-v1.5: no weights root is set; download them and set "
        "CXR_WEIGHTS_ROOT"
    )
    placed = run.model_copy(update={"weights_root": tmp_path})
    with pytest.raises(Unavailable, match=r"no config\.json in"):
        weights_folder(placed.weights_root, "lmsys/vicuna-7b-v1.5")


def test_published_weights_start_the_towers_and_the_language_model(tmp_path: Path) -> None:
    """The paper's loading path, with small weights in the published layout."""
    root, store = trained_world(), tmp_path / "weights"
    from models.dual_encoder import CxrDualEncoder

    dual = CxrDualEncoder.from_pretrained(root / "pretrain")
    dual.vision_model.save_pretrained(store / "lab" / "tower")
    dual.text_model.save_pretrained(store / "lab" / "bert")
    load_tokenizer(root / "pretrain").save_pretrained(store / "lab" / "bert")
    shapes = MODELS.model_dump()
    shapes["vision"]["weights"], shapes["text_encoder"]["weights"] = "lab/tower", "lab/bert"
    shapes["language"]["weights"] = str(root / "language")
    run = train_run(tmp_path, stage("pretrain"), models=shapes, weights_root=store)
    prepared = prepare(run, lambda: ExampleShards(run.train_examples, None))
    started = prepared.model.state_dict()
    for name, value in dual.state_dict().items():
        if name.startswith(("vision_model.", "text_model.")):
            assert torch.equal(started[name], value), name
    align = train_run(
        tmp_path,
        stage("align", steps=1, starts_from=["pretrain"]),
        models=shapes,
        inputs={"pretrain": root / "pretrain"},
    )
    assert train(align) == 0


@pytest.mark.parametrize(
    ("changes", "devices", "expected"),
    [
        ({"batch_size": 8}, 1, (8, 1)),
        ({"batch_size": 256, "device_batch_size": 32}, 4, (32, 2)),
        ({"batch_size": 64, "device_batch_size": 16}, 4, (16, 1)),
        ({"batch_size": 8, "device_batch_size": 100}, 2, (4, 1)),
    ],
)
def test_global_batch_is_spread(
    changes: dict[str, int], devices: int, expected: tuple[int, int]
) -> None:
    assert spread_batch(stage("align", **changes), devices) == expected


def test_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(InputError) as error:
        spread_batch(stage("align", batch_size=10, device_batch_size=4), 1)
    assert str(error.value) == (
        "found stage 'align': batch_size 10, device_batch_size 4, 1 devices; expected a batch "
        "that divides evenly; change batch_size or the number of devices"
    )


def test_contrastive_batch_reaches_its_device_whole() -> None:
    """Gradient caching cuts it there, into pieces that need not divide it."""
    assert spread_batch(stage("pretrain", batch_size=16, device_batch_size=3), 2) == (8, 1)


def test_deepspeed_needs_its_launcher(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        train(train_run(tmp_path, stage("language", deepspeed_zero=2)))
    assert str(error.value) == (
        "found stage 'language' with deepspeed_zero 2 and no launcher; expected torchrun; "
        "start it with torchrun, or set deepspeed_zero to 0"
    )


def with_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_several_gpus_without_a_launcher_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gpus(monkeypatch, 4)
    with pytest.raises(InputError) as error:
        train(train_run(tmp_path, stage("language"), device="auto"))
    assert str(error.value) == (
        "found 4 GPUs and one training process; expected one process for each GPU; set "
        "CXR_PROCESSES_PER_NODE=4, or show one GPU with CUDA_VISIBLE_DEVICES=0"
    )


def test_one_gpu_or_a_launcher_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, 1)
    require_one_gpu_or_launcher(on_gpu=True)
    with_gpus(monkeypatch, 4)
    require_one_gpu_or_launcher(on_gpu=False)
    monkeypatch.setenv("WORLD_SIZE", "4")
    require_one_gpu_or_launcher(on_gpu=True)


@pytest.mark.parametrize("ampere", [True, False])
def test_tf32_is_asked_for_where_the_gpu_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ampere: bool
) -> None:
    """On an older one transformers refuses to be asked."""
    asked: dict[str, object] = {}
    monkeypatch.setattr("models.train.TrainingArguments", lambda **given: asked.update(given))
    monkeypatch.setattr("models.train.is_torch_tf32_available", lambda: ampere)
    with_gpus(monkeypatch, 1)
    training_arguments(train_run(tmp_path, stage("language"), device="auto"), 1)
    assert asked["tf32"] is (True if ampere else None)


@pytest.mark.parametrize(
    ("changes", "rows", "expected"),
    [
        ({"steps": 7}, 1000, 7),
        ({"steps": None, "epochs": 1.0, "batch_size": 256}, 400_042, 1563),
        ({"steps": None, "epochs": 3.0, "batch_size": 64}, 400_042, 18_752),
        ({"steps": None, "epochs": 0.5, "batch_size": 8}, 3, 1),
    ],
)
def test_epochs_become_steps(changes: dict[str, object], rows: int, expected: int) -> None:
    settings: StageSettings = stage("align", **changes)
    assert total_steps(settings, rows) == expected


@pytest.mark.parametrize("batches", ["mixed", "one-source", "like-length"])
def test_a_stage_says_what_its_batches_are_of(batches: str, tmp_path: Path) -> None:
    run = train_run(tmp_path, stage("language", batch_size=4, batches=batches))
    examples = ExampleShards(run.train_examples, None)
    order = list(training_order(run, examples, steps=10))
    cut = [order[start : start + 4] for start in range(0, 40, 4)]
    of_one_source = all(len({examples.source_of(row) for row in each}) == 1 for each in cut)
    lengths = [{examples.length_of(row) for row in each} for each in cut]
    alike = sum(max(each) - min(each) for each in lengths) < 40
    assert (of_one_source, alike) == (batches == "one-source", batches == "like-length")


@pytest.mark.slow
def test_child_reports_bad_input_on_one_line(tmp_path: Path) -> None:
    write_shards(tmp_path)
    run = train_run(tmp_path, stage("language", sources=["brax"]))
    write_run(run, tmp_path / "run.json")
    child = subprocess.run(
        [sys.executable, "-m", "models.train", str(tmp_path / "run.json")],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 2
    assert child.stderr.splitlines()[-1] == (
        "error: found no example of brax in 2 shards; expected at least one; "
        "check the stage's sources, text_versions and share, and the examples' funnel"
    )
