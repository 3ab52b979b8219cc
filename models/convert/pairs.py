"""Which tensor of a published layout is which of ours, and the change of names both ways.

A pair is exact: values are never changed, only named, and stacked where a layout fuses layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from infra.errors import InputError

State: TypeAlias = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Pair:
    """One tensor of theirs and its name here; several names: theirs holds them stacked in rows."""

    theirs: str
    ours: tuple[str, ...]

    @classmethod
    def one(cls, theirs: str, ours: str) -> Pair:
        """A tensor that only changes its name."""
        return cls(theirs, (ours,))


def one_each(theirs: str, ours: str, ends: Iterable[str]) -> list[Pair]:
    """Pairs of tensors under two prefixes whose names end alike (``weight``, ``bias``)."""
    return [Pair.one(f"{theirs}.{end}", f"{ours}.{end}") for end in ends]


def to_ours(pairs: Sequence[Pair], theirs: State, where: str) -> dict[str, torch.Tensor]:
    """Their tensors under our names; every pair must be there, and nothing may be left over.

    Raises:
        InputError: a tensor is missing, unknown or cannot be cut into equal parts.
    """
    known = {pair.theirs for pair in pairs}
    for found, names in (("no tensor", known - theirs.keys()), ("tensor", theirs.keys() - known)):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise InputError(
                f"{found} '{min(names)}'{more} in {where}",
                f"exactly {len(known)} tensors of the known layout",
                "check that the file is whole and of that kind",
            )
    ours: dict[str, torch.Tensor] = {}
    for pair in pairs:
        tensor = theirs[pair.theirs]
        if rows(tensor) % len(pair.ours):
            raise InputError(
                f"{rows(tensor)} rows in '{pair.theirs}' of {where}",
                f"a multiple of {len(pair.ours)}",
                "check that the file is whole and of that kind",
            )
        parts = tensor.chunk(len(pair.ours)) if len(pair.ours) > 1 else (tensor,)
        ours.update(zip(pair.ours, parts, strict=True))
    return ours


def rows(tensor: torch.Tensor) -> int:
    """Length of the first axis; 1 of a tensor without axes."""
    return len(tensor) if tensor.dim() else 1


def to_theirs(pairs: Sequence[Pair], ours: State) -> dict[str, torch.Tensor]:
    """Our tensors under their names, stacked where theirs are."""
    return {
        pair.theirs: torch.cat([ours[name] for name in pair.ours])
        if len(pair.ours) > 1
        else ours[pair.ours[0]]
        for pair in pairs
    }


def require_shapes(given: State, wanted: State, where: str) -> None:
    """Every tensor has the shape of the one of that name, and holds weights as that does.

    Raises:
        InputError: one has not.
    """
    for name, tensor in given.items():
        held, told = tuple(tensor.shape), tuple(wanted[name].shape)
        if held != told:
            raise InputError(
                f"shape {held} of '{name}' in {where}", f"{told}", "use parts of one model"
            )
        if wanted[name].is_floating_point() and not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise InputError(f"'{name}' in {where} as {kind}", "weights", "get the file again")
