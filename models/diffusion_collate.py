"""Examples → batches for CXR-SD. Shapes: B examples, P side in px, K pieces of L tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from infra.errors import InputError
from models.collate import key_of, stacked
from models.data import Sample
from models.packing import Batch
from models.prompt_states import PromptReader
from sources.drawing import drawing_prompt


@dataclass(frozen=True)
class FilmCollator:
    """First films and keys of their examples, by which noise is drawn."""

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """films uint8 [B, P, P], keys [B].

        Raises:
            InputError: an example has no film.
        """
        films = [sample.pixels for sample in samples if sample.pixels is not None]
        if len(films) < len(samples):
            raise InputError(
                "an example without a film", "a film in each", "train on a set whose examples have"
            )
        keys = [key_of("noise", sample.example_id) for sample in samples]
        return {"films": stacked([each[:1] for each in films]), "keys": torch.tensor(keys)}


@dataclass(frozen=True)
class PromptCollator:
    """The same, and the tokens of their prompts: the view's sentence and the target."""

    reader: PromptReader
    films: FilmCollator = FilmCollator()

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """films, keys, and input_ids and attention_mask [B, K, L]."""
        prompts = [drawing_prompt(sample.view, sample.target) for sample in samples]
        tokens = self.reader.read(prompts)
        batch = self.films(samples)
        return {**batch, "input_ids": tokens.ids, "attention_mask": tokens.mask}


@dataclass(frozen=True)
class UnaskedCollator:
    """The same with empty prompts, whatever the examples say."""

    reader: PromptReader
    films: FilmCollator = FilmCollator()

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """films, keys, and the empty prompt's input_ids and attention_mask [B, 1, L]."""
        tokens = self.reader.read([""] * len(samples))
        batch = self.films(samples)
        return {**batch, "input_ids": tokens.ids, "attention_mask": tokens.mask}
