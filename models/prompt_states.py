"""Prompts of any length → the states that a UNet reads, through a text encoder with a limit.

CLIP reads 77 tokens; reports have more, and a cut would lose the impression, which stands last. So
a long prompt is dealt out, whole sentences at a time, to pieces that the encoder reads one by one,
and the UNet's cross-attention reads all their states, end to end. (A mean over pieces would lay
unrelated words on top of each other, and the impression alone would not tell what is asked for in
findings.) Only a sentence that is too long by itself is parted within.

Shapes: B prompts, K pieces, L tokens of a piece (the limit), D width of the encoder's states.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from models.tokenizers import Tokenizer

_AFTER_A_SENTENCE = re.compile(r"(?<=[.!?])\s+")
Ids = list[int]
_MOST_KNOWN = 20_000
"""Our choice: some 50 MB of numbers. Of more prompts a stage asks for each a few times only."""


@dataclass(frozen=True)
class PromptTokens:
    """Token ids [B, K, L] and their mask, ones at tokens; a prompt of fewer pieces than K has its
    own ones again, in their order, so that none reads what another does."""

    ids: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True)
class PromptReader:
    """Cuts prompts into pieces of ``context_tokens``, its two special tokens among them."""

    tokenizer: Tokenizer
    context_tokens: int
    _known: dict[str, list[Ids]] = field(default_factory=dict, compare=False, repr=False)

    def read(self, prompts: Sequence[str]) -> PromptTokens:
        """Every prompt as equally many pieces, each filled up to the limit."""
        pieces = [self._pieces(prompt) for prompt in prompts]
        most = max(len(each) for each in pieces)
        rows = [[each[place % len(each)] for place in range(most)] for each in pieces]
        shape = (len(prompts), most, self.context_tokens)
        ids = torch.full(shape, self._special("pad", "unk"))
        mask = torch.zeros(shape, dtype=torch.long)
        for row, filled in enumerate(rows):
            for place, piece in enumerate(filled):
                ids[row, place, : len(piece)] = torch.tensor(piece)
                mask[row, place, : len(piece)] = 1
        return PromptTokens(ids, mask)

    def _pieces(self, prompt: str) -> list[Ids]:
        """Of one prompt, remembered: a stage of many epochs asks again and again."""
        found = self._known.get(prompt)
        if found is None:
            found = self.pieces(prompt)
            if len(self._known) < _MOST_KNOWN:
                self._known[prompt] = found
        return found

    def pieces(self, prompt: str) -> list[Ids]:
        """Token ids of each piece, its two special tokens around; an empty prompt is one piece."""
        room = self.context_tokens - 2
        whole = self._ids(prompt)
        if len(whole) <= room:
            return [self._closed(whole)]
        found: list[Ids] = [[]]
        for sentence in _AFTER_A_SENTENCE.split(prompt):
            ids = self._ids(sentence)
            if len(found[-1]) + len(ids) > room and found[-1]:
                found.append([])
            while len(found[-1]) + len(ids) > room:
                found[-1], ids = ids[:room], ids[room:]
                found.append([])
            found[-1] = found[-1] + ids
        return [self._closed(ids) for ids in found if ids]

    def _ids(self, text: str) -> Ids:
        ids: Ids = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def _closed(self, ids: Ids) -> Ids:
        return [self._special("cls", "bos"), *ids, self._special("sep", "eos")]

    def _special(self, *names: str) -> int:
        """The first special token of these that the tokenizer has: BERT's name, then CLIP's."""
        found = (getattr(self.tokenizer, f"{name}_token_id") for name in names)
        number = next((each for each in found if each is not None), None)
        assert number is not None, f"the tokenizer has no {' or '.join(names)} token"
        return int(number)


def encode_prompts(encoder: Any, tokens: PromptTokens) -> torch.Tensor:
    """[B, K, L] ids → states [B, K x L, D].

    CLIP's text encoder is not told which tokens are padding, as Stable Diffusion does not tell it;
    BERT is, as in its own training.
    """
    rows, masks = tokens.ids.flatten(0, 1), tokens.mask.flatten(0, 1)
    told = {} if encoder.config.model_type == "clip_text_model" else {"attention_mask": masks}
    states: torch.Tensor = encoder(input_ids=rows, **told).last_hidden_state
    return states.reshape(len(tokens.ids), -1, states.shape[-1])
