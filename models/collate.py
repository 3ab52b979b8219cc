"""Examples → tensors. Shapes: B examples, P image side in px, T tokens, K supervised tail.

Pixels are repeated to three channels and normalised with CLIP's mean and deviation, as the released
model does (not with ImageNet's).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import cycle
from typing import Literal, TypeAlias

import numpy as np
import torch

from infra.log import LOGGER
from infra.settings.stages import Negatives
from models.data import Pixels, Sample
from models.prompts import PLAIN_END, conversation_prompt, jumble, plain_prompt
from models.tokenizers import IMAGE_TOKEN, Tokenizer

Batch: TypeAlias = dict[str, torch.Tensor]
PromptKind = Literal["image-only", "turns"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # OpenAI CLIP, as open_clip applies it
CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)  # OpenAI CLIP
IGNORED = -100  # a label that the loss skips


def normalise(pixels: Sequence[Pixels]) -> torch.Tensor:
    """Grey uint8 images [P, P] → float32 [B, 3, P, P]."""
    grey = torch.from_numpy(np.stack(pixels)).to(torch.float32).div_(255).unsqueeze(1)
    mean = torch.tensor(CLIP_MEAN).view(1, 3, 1, 1)
    deviation = torch.tensor(CLIP_DEVIATION).view(1, 3, 1, 1)
    return (grey - mean) / deviation


def key_of(*names: str) -> int:
    """A 63-bit integer that is equal for equal names."""
    digest = blake2b("\x1f".join(names).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


@dataclass(frozen=True)
class PairCollator:
    """Image-text pairs for the dual encoder; texts are cut at ``context_tokens``.

    ``negatives`` says whose images and texts a pair is held against.
    """

    tokenizer: Tokenizer
    context_tokens: int
    negatives: Negatives = "other-studies"

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """pixel_values [B, 3, P, P], input_ids and attention_mask [B, T], two keys [B]."""
        texts = [sample.target for sample in samples]
        encoded = self.tokenizer(
            texts,
            padding=True,
            truncation=True,
            max_length=self.context_tokens,
            return_tensors="pt",
            return_token_type_ids=False,
        )
        as_read = [key_of(*map(str, ids)) for ids in _unpadded(encoded)]
        return {
            "pixel_values": normalise(_pixels(samples)),
            "input_ids": encoded["input_ids"],
            "attention_mask": encoded["attention_mask"],
            "group_keys": torch.tensor([self._group_key(sample) for sample in samples]),
            "text_keys": torch.tensor(as_read),
        }

    def _group_key(self, sample: Sample) -> int:
        """A study of an unknown subject is a subject of its own."""
        if self.negatives == "other-studies" or sample.subject_id is None:
            return key_of(sample.source, "study", sample.study_id)
        return key_of(sample.source, "subject", sample.subject_id)


def _unpadded(encoded: Mapping[str, torch.Tensor]) -> list[list[int]]:
    """Ids of each text as the text tower reads them: cut, and without case where it has none."""
    rows = zip(encoded["input_ids"], encoded["attention_mask"], strict=True)
    return [ids[mask.bool()].tolist() for ids, mask in rows]


@dataclass(frozen=True)
class ConversationCollator:
    """Conversations with the loss on the assistant's last answer alone.

    Args:
        prompts: ``image-only`` is LLaVA's plain form, ``turns`` Vicuna's conversation; several
            alternate over the batch.
        image_tokens: places an image takes; 0 puts a jumble of the answer's words there instead
            (text-only training).
        context_tokens: the text, without the image, is cut to this many tokens at its end.
    """

    tokenizer: Tokenizer
    prompts: tuple[PromptKind, ...]
    image_tokens: int
    context_tokens: int

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """input_ids, attention_mask [B, T] padded right, labels [B, K], logits_to_keep [].

        Labels cover the K last positions, from one before the batch's first answer: logits over
        image and prompt are never computed.
        """
        kinds = cycle(self.prompts)
        pairs = [self._ids(sample, next(kinds)) for sample in samples]
        longest = max(len(prompt) + len(answer) for prompt, answer in pairs)
        ids = torch.full((len(pairs), longest), self._pad_id)
        mask = torch.zeros_like(ids)
        labels = torch.full_like(ids, IGNORED)
        for row, (prompt, answer) in enumerate(pairs):
            end = len(prompt) + len(answer)
            ids[row, :end] = torch.tensor(prompt + answer)
            mask[row, :end] = 1
            labels[row, len(prompt) : end] = torch.tensor(answer)
        kept = longest - min(len(prompt) for prompt, _ in pairs) + 1
        batch = {
            "input_ids": ids,
            "attention_mask": mask,
            "labels": labels[:, -kept:],
            "logits_to_keep": torch.arange(longest - kept, longest),
        }
        if self.image_tokens:
            batch["pixel_values"] = normalise(_pixels(samples))
        return batch

    @property
    def _pad_id(self) -> int:
        pad = self.tokenizer.pad_token_id
        assert pad is not None, "the tokenizer has no padding token"
        return int(pad)

    def _ids(self, sample: Sample, kind: PromptKind) -> tuple[list[int], list[int]]:
        prompt = prompt_ids(sample, self.tokenizer, kind, self.image_tokens)
        end = PLAIN_END if kind == "image-only" else self.tokenizer.eos_token
        answer = self.tokenizer(f"{sample.target}{end}", add_special_tokens=False)["input_ids"]
        room = self.context_tokens - (len(prompt) - max(0, self.image_tokens - 1))
        if len(answer) > room:
            LOGGER.warning(
                "example %s: answer cut from %d to %d tokens",
                sample.example_id,
                len(answer),
                max(room, 1),
            )
        return prompt, answer[: max(room, 1)]


def prompt_ids(
    sample: Sample, tokenizer: Tokenizer, prompt: PromptKind, image_tokens: int
) -> list[int]:
    """Token ids of the prompt, its one image token expanded to ``image_tokens`` places."""
    image = IMAGE_TOKEN if image_tokens else jumble(sample.target, key_of(sample.example_id))
    plain = prompt == "image-only"
    text = plain_prompt(image) if plain else conversation_prompt(sample.turns, image)
    ids: list[int] = tokenizer(text)["input_ids"]
    if not image_tokens:
        return ids
    image_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    place = ids.index(image_id)
    return ids[:place] + [image_id] * image_tokens + ids[place + 1 :]


def pad_left(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts of unequal length → input_ids and attention_mask [B, T], padded on the left."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad_id)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, longest - len(row) :] = torch.tensor(list(row))
        mask[index, longest - len(row) :] = 1
    return ids, mask


def _pixels(samples: Sequence[Sample]) -> list[Pixels]:
    found = [sample.pixels for sample in samples if sample.pixels is not None]
    assert len(found) == len(samples), "examples were read as text only"
    return found
