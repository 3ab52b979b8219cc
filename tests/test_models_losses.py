"""One loss however a batch is cut or laid out, and the losses that are kept as text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from golden_losses import HEADER, WITHOUT_DROPOUT, golden, losses_of_stage
from models_world import STAGES, stage, train_run, trained_world
from safetensors.torch import load_file

from models.train import train

CONVERSATIONS = ("language", "align", "finetune")
TOLERANCE = 1e-3  # our choice: other processors round sums differently, six steps long


def trained(folder: Path, name: str, **changes: object) -> tuple[list[dict[str, float]], Path]:
    """Rows of losses.jsonl and the output folder of a stage on the trained world."""
    settings = stage(name, **{**WITHOUT_DROPOUT.get(name, {}), **changes})
    run = train_run(trained_world(), settings, output=folder / "out", resume=folder / "resume")
    assert train(run) == 0
    lines = (run.output / "losses.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], run.output


@pytest.mark.parametrize("name", STAGES)
def test_losses_are_those_kept_as_text(name: str, tmp_path: Path) -> None:
    """Meant to change? ``python tests/golden_losses.py`` writes them anew."""
    kept = [loss for kind, _, loss in golden() if kind == name]
    assert losses_of_stage(name, tmp_path) == pytest.approx(kept, rel=TOLERANCE)


def test_the_kept_losses_are_of_all_stages_and_falling() -> None:
    rows = list(golden())
    assert [(kind, step) for kind, step, _ in rows] == [
        (kind, step) for kind in STAGES for step in range(1, 7)
    ]
    for name in ("language", "finetune"):
        losses = [loss for kind, _, loss in rows if kind == name]
        assert losses[-1] < losses[0]
    assert HEADER.startswith("#")


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_packing_changes_no_loss(name: str, tmp_path: Path) -> None:
    packed, one = trained(tmp_path / "packed", name)
    padded, other = trained(tmp_path / "padded", name, packing=False)
    for row, same in zip(packed, padded, strict=True):
        assert row == pytest.approx(same, rel=2e-5)
    told = [json.loads((each / "result.json").read_text()) for each in (one, other)]
    assert told[0]["validate_loss"] == pytest.approx(told[1]["validate_loss"], rel=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_batch_of_eight_in_one_pass_is_eight_passes_of_one(name: str, tmp_path: Path) -> None:
    """Answers differ in length, so that a mean of means would be another loss."""
    whole, one = trained(tmp_path / "whole", name)
    cut, other = trained(tmp_path / "cut", name, device_batch_size=1)
    for row, same in zip(whole, cut, strict=True):
        assert row == pytest.approx(same, rel=2e-5)
    weights = [load_file(each / "model.safetensors") for each in (one, other)]
    for tensor, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][tensor], rtol=1e-3, atol=2e-5, msg=tensor)
