"""The contrastive temperature: learned, clipped as in CLIP, in float32 wherever it is kept."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from contrast_world import batch, encoder, shapes
from models_world import stage, train_run
from safetensors.torch import load_file

from infra.launch import run_module
from infra.runs import write_run
from models.checkpoint import TRAINABLE
from models.dual_encoder import CxrDualEncoder
from models.objectives import contrastive_loss
from models.temperature import (
    LARGEST_LOG_SCALE,
    LARGEST_LOGIT_SCALE,
    clip_temperature,
    inverse_temperature,
)
from models.train import train
from models.trainer import StageTrainer


def parameter(value: float) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(value))


def test_inverse_temperature_is_the_exponential_up_to_a_hundred() -> None:
    assert float(inverse_temperature(torch.tensor(2.0))) == pytest.approx(math.exp(2.0))
    assert float(inverse_temperature(torch.tensor(9.0))) == pytest.approx(LARGEST_LOGIT_SCALE)


def test_a_temperature_at_its_limit_can_leave_it() -> None:
    log_scale = parameter(9.0)
    clip_temperature(log_scale)
    assert float(log_scale.detach()) == pytest.approx(LARGEST_LOG_SCALE)
    inverse_temperature(log_scale).backward()
    assert log_scale.grad is not None and float(log_scale.grad) == pytest.approx(100, rel=1e-5)


def test_clip_leaves_what_is_within() -> None:
    log_scale = parameter(4.0)
    clip_temperature(log_scale)
    assert float(log_scale.detach()) == 4.0


def test_loss_is_computed_in_float32_within_autocast() -> None:
    """At a scale of 100 bfloat16 rounds logits to multiples of a half."""
    torch.manual_seed(0)
    images, texts = (torch.nn.functional.normalize(torch.randn(6, 8), dim=-1) for _ in range(2))
    keys, scale = torch.arange(6), torch.tensor(LARGEST_LOGIT_SCALE)
    expected = contrastive_loss(images, texts, scale, keys, keys)
    with torch.autocast("cpu", torch.bfloat16):
        found = contrastive_loss(images, texts, scale, keys, keys)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_loaded_in_bfloat16_the_temperature_stays_float32(tmp_path: Path) -> None:
    model = encoder()
    with torch.no_grad():
        model.logit_scale.fill_(4.4321)
    model.save_pretrained(tmp_path)
    half = CxrDualEncoder.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.visual_projection.weight.dtype == torch.bfloat16
    assert half.logit_scale.dtype == torch.float32
    assert torch.equal(half.logit_scale, model.logit_scale)


def test_gains_and_the_temperature_are_not_decayed() -> None:
    decayed = set(StageTrainer.get_decay_parameter_names(object.__new__(StageTrainer), encoder()))
    assert "logit_scale" not in decayed
    assert not any("lambda1" in name or name.endswith("bias") for name in decayed)
    assert "visual_projection.weight" in decayed


def test_a_stage_clips_it_and_its_checkpoint_holds_it_exactly(tmp_path: Path) -> None:
    """A rate that would take it far beyond the limit: the saved one is the limit, in float32."""
    settings = stage("pretrain", steps=2, learning_rate=5.0, schedule="constant", warmup_share=0.0)
    run = train_run(tmp_path, settings, models=shapes())
    assert train(run) == 0
    saved = load_file(run.resume / "checkpoint-2" / TRAINABLE)["logit_scale"]
    stored = load_file(run.output / "model.safetensors")["logit_scale"]
    assert saved.dtype == stored.dtype == torch.float32
    assert torch.equal(saved, stored)
    assert float(saved) <= LARGEST_LOG_SCALE + 1e-6


def test_it_learns() -> None:
    model = encoder()
    model(**batch()).loss.backward()
    assert model.logit_scale.grad is not None and float(model.logit_scale.grad) != 0


@pytest.mark.slow
def test_a_stage_under_zero_stores_it_as_every_clip_does(tmp_path: Path) -> None:
    settings = stage("pretrain", steps=2, deepspeed_zero=2)
    run = train_run(tmp_path, settings, models=shapes())
    write_run(run, tmp_path / "run.json")
    run_module("models.train", tmp_path / "run.json", lambda event: None, processes=2)
    stored = load_file(run.output / "model.safetensors")["logit_scale"]
    assert (stored.dtype, stored.shape) == (torch.float32, ())
    assert 2.5 < float(stored) < 2.8
    assert float(stored) != float(stored.bfloat16())
