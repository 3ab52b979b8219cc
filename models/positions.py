"""Position embeddings of a Vision Transformer for another image size.

Shapes: N special positions in front (CLS), G patches along the trained side, S along the wanted
one, W width.
"""

from __future__ import annotations

from math import isqrt

import torch
from torch.nn import functional

from infra.errors import InputError


def resize_positions(table: torch.Tensor, side: int, special: int) -> torch.Tensor:
    """[N + G², W] → [N + S², W]: special positions as they are, the grid resampled.

    Bicubic with antialiasing, corners not aligned, computed in float32: what timm does when a
    checkpoint is loaded at another size. DINOv2's own code differs twice: it does not antialias,
    and it scales by (S + 0.1) / G, an offset that once avoided a rounding error. Neither is done
    here; between grids of equal size all of them change nothing.

    Raises:
        InputError: the table's patches are no square.
    """
    patches = len(table) - special
    trained = isqrt(max(patches, 0))
    if trained * trained != patches or not patches:
        raise InputError(
            f"{len(table)} position embeddings, {special} of them special",
            "a square grid of patches",
            "check that the tower is a Vision Transformer for square images",
        )
    if trained == side:
        return table
    grid = table[special:].float().T.reshape(1, -1, trained, trained)
    resized = functional.interpolate(
        grid, size=(side, side), mode="bicubic", antialias=True, align_corners=False
    )
    flat = resized.reshape(table.shape[1], side * side).T.to(table.dtype)
    return torch.cat([table[:special], flat])
