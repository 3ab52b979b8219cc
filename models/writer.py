"""Writes findings for images: the one inference path of scoring and serving.

Shapes: B prompts, T tokens, P image side in px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from transformers import GenerationConfig, LlavaForConditionalGeneration

from infra.runs import Device
from infra.settings.sections import GenerateSettings
from models.collate import normalise, pad_left, prompt_ids
from models.data import Pixels, Sample
from models.tokenizers import Tokenizer, load_tokenizer
from models.vlm import load_vlm


@dataclass(frozen=True)
class Written:
    """One generated text; ``tokens`` counts it without the end token."""

    text: str
    finish_reason: Literal["stop", "length"]
    tokens: int


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
            model = model.to("cuda")
        return cls(model, load_tokenizer(folder), settings)

    @property
    def side_px(self) -> int:
        """Image side the vision tower takes."""
        return int(self.model.config.vision_config.image_size)

    def prompt(self, sample: Sample) -> list[int]:
        """Token ids of the conversation up to the answer, as finetuning saw them."""
        patches = int(self.model.config.image_seq_length)
        return prompt_ids(sample, self.tokenizer, "turns", patches)

    @torch.inference_mode()
    def write(
        self, prompts: Sequence[Sequence[int]], pixels: Sequence[Pixels | None]
    ) -> list[Written]:
        """Findings for one batch of prompts and their grey images [P, P]."""
        shown = [each for each in pixels if each is not None]
        assert len(shown) == len(prompts), "every prompt needs an image"
        ids, mask = pad_left(prompts, self._token("pad"))
        device = self.model.device
        generated = self.model.generate(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            pixel_values=normalise(shown).to(device, self.model.dtype),
            generation_config=self._generation_config(),
        )
        return [self._written(row[ids.shape[1] :].tolist()) for row in generated]

    def _generation_config(self) -> GenerationConfig:
        return GenerationConfig(
            max_new_tokens=self.settings.max_new_tokens,
            num_beams=self.settings.beams,
            do_sample=False,
            use_cache=True,
            bos_token_id=self.tokenizer.bos_token_id,  # Qwen2 has none
            eos_token_id=self._token("eos"),
            pad_token_id=self._token("pad"),
        )

    def _token(self, name: str) -> int:
        token = getattr(self.tokenizer, f"{name}_token_id")
        assert isinstance(token, int), f"the tokenizer has no {name} token"
        return token

    def _written(self, ids: list[int]) -> Written:
        """Cut at the end token; a text without one ran into the length limit."""
        end = self._token("eos")
        stopped = end in ids
        kept = ids[: ids.index(end)] if stopped else ids
        text = self.tokenizer.decode(kept, skip_special_tokens=True).strip()
        return Written(" ".join(text.split()), "stop" if stopped else "length", len(kept))
