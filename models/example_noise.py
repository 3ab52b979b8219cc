"""Random numbers that belong to an example and a step, whoever computes them.

The same on any number of ranks, in any pass and after any kill, which a generator that is shared by
a batch is not. Shapes: B examples.
"""

from __future__ import annotations

from hashlib import blake2b

import torch

LOOK = -1
"""Stands for the step in a look at validate: every look draws the same, so that looks compare."""


def generator_of(*numbers: int) -> torch.Generator:
    """A generator that is seeded by these numbers."""
    digest = blake2b("\t".join(map(str, numbers)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest) >> 1)


def draw(
    keys: torch.Tensor, seed: int, step: int, shape: tuple[int, ...], below: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """For each example normal noise [B, *shape] and a whole number from 0 to ``below`` - 1 [B],
    on the CPU, whose generators draw alike on every machine.

    Args:
        keys: [B] of the examples.
        seed: the stage's.
    """
    generators = [generator_of(seed, step, int(key)) for key in keys.tolist()]
    chosen = [torch.randint(below, (), generator=each) for each in generators]
    noise = [torch.randn(shape, generator=each) for each in generators]
    return torch.stack(noise), torch.stack(chosen)
