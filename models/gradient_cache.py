"""Contrastive batches larger than a device holds: gradient caching.

Every pair is every other's negative, so the loss needs all embeddings at once, but the networks
need not hold all of their activations at once. First every piece is embedded without a graph, then
the loss over all pieces and ranks gives its gradient on each embedding, then each piece is embedded
again and that gradient is sent through it. Loss and gradients are those of the uncut batch; memory
for activations is one piece's, time one forward pass more. Where dropout draws, the second pass
draws what the first drew.

Shapes: B pairs of this process, E embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from models.dual_encoder import DualEncoderOutput
from models.objectives import contrastive_loss
from models.packing import Batch
from models.temperature import inverse_temperature

KEYS = ("group_keys", "text_keys")
Embed = Callable[..., DualEncoderOutput]


@dataclass(frozen=True)
class RandomState:
    """The generators that dropout draws from: the CPU's and, on a GPU, that GPU's."""

    cpu: torch.Tensor
    cuda: torch.Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> RandomState:
        """The state before the next draw."""
        on_gpu = device.type == "cuda"
        return cls(torch.get_rng_state(), torch.cuda.get_rng_state(device) if on_gpu else None)

    def restore(self, device: torch.device) -> None:
        """From now on the same draws as after ``now``."""
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, device)


@dataclass(frozen=True)
class _Embedded:
    """All of this process's embeddings [B, E], the log temperature, and each piece's draws."""

    images: torch.Tensor
    texts: torch.Tensor
    log_scale: torch.Tensor
    draws: tuple[RandomState, ...]


def cached_backward(
    model: Embed,
    batch: Batch,
    piece_rows: int,
    backward: Callable[[torch.Tensor, bool], None],
    apart: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> torch.Tensor:
    """Loss of a contrastive batch, its gradients accumulated on the parameters piece by piece.

    Args:
        model: embeds a batch without keys; may be wrapped for several ranks.
        batch: a ``PairCollator``'s, [B, …] each.
        piece_rows: pairs embedded at once.
        backward: sends a scalar back; its second argument says whether it is the step's last.
        apart: keeps gradients on this rank within; they are reduced with the last piece.

    Returns:
        Scalar loss, without graph.
    """
    pieces = cut(batch, piece_rows)
    with apart():
        embedded = _embed_all(model, pieces)
    keys = (batch[name] for name in KEYS)
    scale = inverse_temperature(embedded.log_scale)
    loss = contrastive_loss(embedded.images, embedded.texts, scale, *keys)
    gradients = torch.autograd.grad(loss, (embedded.images, embedded.texts, embedded.log_scale))
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        rows = slice(number * piece_rows, (number + 1) * piece_rows)
        embedded.draws[number].restore(loss.device)
        with nullcontext() if last else apart():
            output = model(**piece)
            sent = (output.image_embeds * gradients[0][rows]).sum()
            sent = sent + (output.text_embeds * gradients[1][rows]).sum()
            # In every piece, so that no pass leaves a parameter without a gradient.
            sent = sent + (output.log_scale * gradients[2]).sum() / len(pieces)
            backward(sent, last)
    return loss.detach()


def _embed_all(model: Embed, pieces: Sequence[Batch]) -> _Embedded:
    images, texts, draws = [], [], []
    with torch.no_grad():
        for piece in pieces:
            draws.append(RandomState.now(piece["pixel_values"].device))
            output = model(**piece)
            images.append(output.image_embeds)
            texts.append(output.text_embeds)
    return _Embedded(
        images=torch.cat(images).requires_grad_(),
        texts=torch.cat(texts).requires_grad_(),
        log_scale=output.log_scale.detach().clone().requires_grad_(),
        draws=tuple(draws),
    )


def cut(batch: Batch, piece_rows: int) -> list[Batch]:
    """Pieces of a batch without its keys; each one's texts lose the padding that none of it needs.

    Pixels stay views of the batch's.
    """
    rows = len(batch["input_ids"])
    pieces = []
    for start in range(0, rows, piece_rows):
        piece = {
            name: each[start : start + piece_rows]
            for name, each in batch.items()
            if name not in KEYS
        }
        longest = int(piece["attention_mask"].sum(dim=1).max())
        for name in ("input_ids", "attention_mask"):
            piece[name] = piece[name][:, :longest]
        pieces.append(piece)
    return pieces
