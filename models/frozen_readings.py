"""What a diffusion model's frozen parts read of its training examples, read once and kept.

A stage of many epochs over few films would otherwise ask the frozen autoencoder and the frozen text
encoder for the same again and again: in the demo's hint, two fifths of each step. Shapes: N
examples, B of a batch, C channels and h x w places of the latents, K pieces of L tokens of a
prompt, D the width of their states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from models.packing import Batch
from models.prompt_states import PromptTokens

MOST_BYTES = 256 * 2**20
"""Our choice, as large as the window of decoded films (``models.data``): larger sets are read anew
in each step, as they would outgrow a device."""
_AT_ONCE = 64  # our choice: enough to keep a device busy, and the same for every run

Read = Callable[[Batch], tuple[torch.Tensor, torch.Tensor | None]]
"""films and prompts → latents [B, C, h, w] and states [pieces, L, D], None where none are read."""


@dataclass(frozen=True)
class FrozenReadings:
    """Latents [N, C, h, w], and states [pieces of all, L, D] where prompts are read.

    Attributes:
        places: of examples, by their keys.
        first, count: [N] the first of an example's pieces, and how many it has.
    """

    places: dict[int, int]
    latents: torch.Tensor
    states: torch.Tensor | None
    first: torch.Tensor
    count: torch.Tensor

    def of(
        self, keys: torch.Tensor, tokens: PromptTokens
    ) -> tuple[torch.Tensor, torch.Tensor | None] | None:
        """What was read of the examples with these keys [B]: latents [B, C, h, w] and states
        [B, K x L, D]; None where one of them is not there."""
        found = [self.places.get(key) for key in keys.tolist()]
        if None in found:
            return None
        rows = torch.tensor(found)
        latents = self.latents[rows.to(self.latents.device)]
        if self.states is None:
            return latents, None
        turns = torch.arange(tokens.ids.shape[1])  # a prompt of fewer pieces has its own ones again
        pieces = self.first[rows, None] + turns[None] % self.count[rows, None]
        return latents, self.states[pieces.to(self.states.device)].flatten(1, 2)


def read_all(examples: Iterator[Batch], read: Read) -> FrozenReadings | None:
    """Read all of them in their order, some at once.

    None where there are more than MOST_BYTES, and where two have one key: an example of two sets
    has one film and two prompts, and a key does not tell them apart.

    Args:
        examples: each a batch of one, with its own pieces alone.
    """
    keys: list[int] = []
    counts: list[int] = []
    latents: list[torch.Tensor] = []
    states: list[torch.Tensor] = []
    held = 0
    for some in _several(examples):
        keys += [int(each["keys"]) for each in some]
        counts += [each["input_ids"].shape[1] for each in some]
        for kept, made in zip((latents, states), read(_together(some)), strict=True):
            if made is not None:
                held += made.nbytes
                kept.append(made)
        if held > MOST_BYTES or len(set(keys)) < len(keys):
            return None
    ends = torch.tensor(counts).cumsum(0)
    return FrozenReadings(
        {key: place for place, key in enumerate(keys)},
        torch.cat(latents),
        torch.cat(states) if states else None,
        ends - torch.tensor(counts),
        torch.tensor(counts),
    )


def _several(examples: Iterator[Batch]) -> Iterator[list[Batch]]:
    some: list[Batch] = []
    for each in examples:
        some.append(each)
        if len(some) == _AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _together(some: Sequence[Batch]) -> Batch:
    """Films [B, P, P], and all pieces of all prompts as prompts of one piece [pieces, 1, L]."""
    films = torch.cat([each["films"] for each in some])
    names = ("input_ids", "attention_mask")
    pieces = {name: torch.cat([each[name][0] for each in some]).unsqueeze(1) for name in names}
    return {"films": films, **pieces}
