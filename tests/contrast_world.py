"""A small dual encoder, contrastive batches made by hand, and two real processes to train it on."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from models_world import MODELS
from torch import distributed, multiprocessing

from infra.settings.stages import ModelSettings
from models.collate import Batch
from models.dual_encoder import CxrDualEncoder, dual_encoder_config

ROWS = 8
STUDIES = (1, 1, 2, 3, 4, 1, 5, 3)
"""Study 1 lies twice in the first half of the batch and once in the second; study 3 in both."""
TEXTS = (1, 2, 3, 4, 5, 6, 3, 7)
"""The third and the seventh pair share their text, not their study."""
ROUNDING = 5e-6
"""How far float32 gradients of the same sum lie apart when it is added in another order: up to 3e-6
on processors whose matrix products add in wider blocks (measured)."""
Gradients = dict[str, torch.Tensor]


def shapes(dropout: float = 0.0) -> ModelSettings:
    text = MODELS.text_encoder.model_copy(update={"dropout": dropout})
    return MODELS.model_copy(update={"text_encoder": text})


def encoder(dropout: float = 0.0, seed: int = 0) -> CxrDualEncoder:
    """In training mode, as a stage has it."""
    torch.manual_seed(seed)
    return CxrDualEncoder(dual_encoder_config(shapes(dropout), 300)).train()


def batch(rows: int = ROWS) -> Batch:
    """Pairs with texts of unequal length, padded to the longest; keys as in STUDIES and TEXTS."""
    generator = torch.Generator().manual_seed(7)
    lengths = torch.tensor([4 + 3 * (row % 3) for row in range(rows)])
    mask = (torch.arange(10)[None] < lengths[:, None]).long()
    ids = torch.randint(5, 300, (rows, 10), generator=generator) * mask
    turns = range(-(-rows // ROWS))
    return {
        "pixel_values": torch.randn(rows, 3, 28, 28, generator=generator),
        "input_ids": ids,
        "attention_mask": mask,
        "group_keys": torch.tensor([10 * turn + key for turn in turns for key in STUDIES])[:rows],
        "text_keys": torch.tensor([10 * turn + key for turn in turns for key in TEXTS])[:rows],
    }


def gradients(model: torch.nn.Module) -> Gradients:
    return {
        name.removeprefix("module."): each.grad.clone()
        for name, each in model.named_parameters()
        if each.grad is not None
    }


def assert_same(found: Gradients, expected: Gradients) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=ROUNDING, rtol=1e-5, msg=name)


def whole(rows: int = ROWS) -> tuple[float, Gradients]:
    """Loss and gradients of the batch on one process, uncut."""
    model = encoder()
    loss = model(**batch(rows)).loss
    loss.backward()
    return float(loss.detach()), gradients(model)


def on_two_ranks(work: Callable[[int, Path], Any], folder: Path) -> list[Any]:
    """Run ``work(rank, folder)`` in two processes of one gloo group; their answers, by rank."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    multiprocessing.spawn(_rank, (work, folder, port), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def _rank(rank: int, work: Callable[[int, Path], Any], folder: Path, port: int) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    try:
        torch.save(work(rank, folder), folder / f"{rank}.pt")
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def half(rank: int) -> Batch:
    """The rank's contiguous part of the batch."""
    part = ROWS // 2
    return {name: each[rank * part : (rank + 1) * part] for name, each in batch().items()}
