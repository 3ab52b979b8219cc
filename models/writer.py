"""Writes findings for images: the one inference path of scoring and serving.

Shapes: P image side in px.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration

from infra.runs import Device
from infra.settings.sections import GenerateSettings
from models.canvas import Canvas, canvas_of
from models.collate import prompt_ids
from models.data import Pixels, Sample
from models.decoding import Decoder, Request
from models.search import SearchRule
from models.tokenizers import Tokenizer, load_tokenizer
from models.vlm import load_vlm


@dataclass(frozen=True)
class Written:
    """One generated text.

    Args:
        tokens: counted without the end token.
        generated_ids: exactly what the model chose, with the end token where it stopped; the text
            is decoded from them.
    """

    text: str
    finish_reason: Literal["stop", "length"]
    tokens: int
    generated_ids: tuple[int, ...]


@dataclass(frozen=True)
class FindingsWriter:
    """A loaded VLM, ready to write. Greedy (or beams), with a key-value cache."""

    model: LlavaForConditionalGeneration
    tokenizer: Tokenizer
    settings: GenerateSettings

    @classmethod
    def load(cls, folder: Path, settings: GenerateSettings, device: Device) -> FindingsWriter:
        """Load a finetune stage's folder.

        Raises:
            InputError: the folder holds no VLM.
        """
        model = load_vlm(folder).eval()
        if device == "auto" and torch.cuda.is_available():
            model = model.to(torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))))
        return cls(model, load_tokenizer(folder), settings)

    @property
    def canvas(self) -> Canvas:
        """How the model is shown films."""
        return canvas_of(self.model.config)

    def prompt(self, sample: Sample) -> list[int]:
        """Token ids of the conversation up to the answer, as finetuning saw them, with places for
        the pictures that the sample has."""
        patches = int(self.model.config.image_seq_length)
        return prompt_ids(sample, self.tokenizer, "turns", patches)

    def write(
        self, prompts: Sequence[Sequence[int]], pixels: Sequence[Pixels | None]
    ) -> list[Written]:
        """Texts for prompts and their pictures [m, P, P], ``batch_size`` of them at a time."""
        requests = [self.request(*each) for each in zip(prompts, pixels, strict=True)]
        answers = [answer for some in self.decoder().run(requests) for answer in some]
        found = {answer.number: self.written(answer.ids) for answer in answers}
        return [found[number] for number in range(len(requests))]

    def decoder(self) -> Decoder:
        """What generates for this model and these settings."""
        return Decoder(self.model, self.rule, self.settings.batch_size)

    @property
    def rule(self) -> SearchRule:
        """How these settings search an answer."""
        return SearchRule(
            self._token("eos"),
            self.settings.beams,
            self.settings.length_penalty,
            least=self.settings.min_new_tokens,
            repetition_penalty=self.settings.repetition_penalty,
        )

    def request(self, prompt: Sequence[int], pixels: Pixels | None) -> Request:
        """One prompt and its pictures [m, P, P]; None shows none."""
        side_px = self.canvas.side_px
        shown = np.zeros((0, side_px, side_px), np.uint8) if pixels is None else pixels
        return Request(tuple(prompt), shown, self.settings.max_new_tokens)

    def _token(self, name: str) -> int:
        token = getattr(self.tokenizer, f"{name}_token_id")
        assert isinstance(token, int), f"the tokenizer has no {name} token"
        return token

    def written(self, ids: Sequence[int]) -> Written:
        """Cut at the end token; a text without one ran into the length limit."""
        stopped = ids[-1] == self._token("eos")
        kept = list(ids[:-1] if stopped else ids)
        text = self.tokenizer.decode(kept, skip_special_tokens=True).strip()
        reason: Literal["stop", "length"] = "stop" if stopped else "length"
        return Written(" ".join(text.split()), reason, len(kept), tuple(ids))
