"""Contrastive batches over pieces and ranks: the loss and gradients of the uncut batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from contrast_world import (
    ROWS,
    assert_same,
    batch,
    encoder,
    gradients,
    half,
    on_two_ranks,
    shapes,
    whole,
)
from models_world import stage, train_run
from torch.nn.parallel import DistributedDataParallel

from infra.launch import run_module
from infra.runs import TrainRun, write_run
from models import objectives
from models.gradient_cache import cached_backward, cut
from models.train import train


def send_back(loss: torch.Tensor, last: bool) -> None:
    loss.backward()


@pytest.mark.parametrize("piece", [1, 3, 4, ROWS])
def test_pieces_give_the_loss_and_gradients_of_the_uncut_batch(piece: int) -> None:
    expected_loss, expected = whole()
    model = encoder()
    loss = cached_backward(model, batch(), piece, send_back)
    assert float(loss) == pytest.approx(expected_loss, rel=1e-6)
    assert not loss.requires_grad
    assert_same(gradients(model), expected)


def test_only_the_last_piece_is_said_to_be_the_last() -> None:
    told = []

    def backward(loss: torch.Tensor, last: bool) -> None:
        told.append(last)
        loss.backward()

    cached_backward(encoder(), batch(), 3, backward)
    assert told == [False, False, True]


def test_dropout_draws_the_same_in_both_passes() -> None:
    """Against the same pieces embedded once with their graphs, from the same seed."""
    model = encoder(dropout=0.5)
    torch.manual_seed(3)
    outputs = [model(**piece) for piece in cut(batch(), 3)]
    loss = objectives.contrastive_loss(
        torch.cat([output.image_embeds for output in outputs]),
        torch.cat([output.text_embeds for output in outputs]),
        model.logit_scale.exp(),
        batch()["group_keys"],
        batch()["text_keys"],
    )
    loss.backward()
    drawn_next = torch.rand(1)
    again = encoder(dropout=0.5)
    torch.manual_seed(3)
    found = cached_backward(again, batch(), 3, send_back)
    assert float(found) == pytest.approx(float(loss.detach()), rel=1e-6)
    assert_same(gradients(again), gradients(model))
    assert torch.equal(torch.rand(1), drawn_next), "later draws go on where they were"


def test_large_similarity_matrices_are_taken_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    expected_loss, expected = whole()
    monkeypatch.setattr(objectives, "LOGITS_AT_ONCE", 3 * ROWS)
    loss, found = whole()
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert_same(found, expected)


def test_a_piece_drops_the_padding_that_none_of_its_texts_needs() -> None:
    pieces = cut(batch(), 1)
    assert [piece["input_ids"].shape[1] for piece in pieces] == [4, 7, 10, 4, 7, 10, 4, 7]
    assert all("group_keys" not in piece and "text_keys" not in piece for piece in pieces)


class Kept:
    """Bytes of activations that graphs hold for their backward pass: now, and at most."""

    now = 0
    most = 0

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor, self.bytes = tensor, tensor.numel() * tensor.element_size()
        Kept.now += self.bytes
        Kept.most = max(Kept.most, Kept.now)

    def __del__(self) -> None:
        Kept.now -= self.bytes


def most_kept(work: Callable[[], object]) -> int:
    Kept.now = Kept.most = 0
    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        work()
    return Kept.most


def test_memory_for_activations_is_one_pieces_however_large_the_batch() -> None:
    model = encoder()
    small = most_kept(lambda: cached_backward(model, batch(8), 4, send_back))
    large = most_kept(lambda: cached_backward(model, batch(64), 4, send_back))
    uncut = most_kept(lambda: model(**batch(64)).loss.backward())
    assert large < 1.1 * small, f"{large / small:.2f} times as much for 8 times the batch"
    assert uncut > 10 * large


def on_a_rank(rank: int, folder: Path) -> dict[str, Any]:
    """What two ranks are asked, in one start of the processes."""
    uncut = DistributedDataParallel(encoder())
    loss = uncut(**half(rank)).loss
    loss.backward()
    cut_up = DistributedDataParallel(encoder())
    cached = cached_backward(cut_up, half(rank), 2, send_back, cut_up.no_sync)
    return {
        "uncut": (float(loss.detach()), gradients(uncut)),
        "pieces": (float(cached), gradients(cut_up)),
    }


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return on_two_ranks(on_a_rank, tmp_path_factory.mktemp("ranks"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["uncut", "pieces"])
def test_two_ranks_give_the_loss_and_gradients_of_one(
    how: str, ranks: list[dict[str, Any]]
) -> None:
    expected_loss, expected = whole()
    losses = [rank[how][0] for rank in ranks]
    assert sum(losses) / 2 == pytest.approx(expected_loss, rel=1e-6)
    for rank in ranks:
        assert_same(rank[how][1], expected)


def test_a_study_in_two_pieces_is_no_negative_of_itself() -> None:
    """Without its keys the batch has another loss; with them no piece knows the other's study."""
    expected, _ = whole()
    apart = batch() | {"group_keys": torch.arange(ROWS), "text_keys": torch.arange(ROWS)}
    assert float(cached_backward(encoder(), apart, 4, send_back)) > expected + 0.01


def losses(run: TrainRun) -> list[float]:
    rows = (run.output / "losses.jsonl").read_text().splitlines()
    return [json.loads(row)["loss"] for row in rows]


def trained(root: Path, ranks: int = 1, **changes: object) -> list[float]:
    """Losses of a short stage without dropout."""
    run = train_run(root, stage("pretrain", steps=4, **changes), models=shapes())
    if ranks == 1:
        assert train(run) == 0
    else:
        write_run(run, root / "run.json")
        run_module("models.train", root / "run.json", lambda event: None, processes=ranks)
    return losses(run)


def test_a_stage_that_cuts_its_batches_repeats_the_uncut_stage(tmp_path: Path) -> None:
    expected = trained(tmp_path / "uncut")
    found = trained(tmp_path / "cut", device_batch_size=3)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("zero", [0, 2])
def test_a_stage_on_two_ranks_that_cuts_its_batches_does_too(tmp_path: Path, zero: int) -> None:
    """Each rank's four pairs in two pieces; DeepSpeed steps after the last of them alone."""
    expected = trained(tmp_path / "uncut")
    found = trained(tmp_path / "ranks", 2, device_batch_size=2, deepspeed_zero=zero)
    assert found == pytest.approx(expected, rel=1e-4)
