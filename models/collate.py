"""Examples → tensors. Shapes: B examples, P image side in px, T tokens.

Pixels are repeated to three channels and normalised with CLIP's mean and deviation, as the released
model does (not with ImageNet's). Collators leave that to the device (``with_films``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

import numpy as np
import torch
from torch.utils.data import default_collate

from infra.log import LOGGER
from infra.settings.sections import REPORT_TASKS
from infra.settings.stages import Learned, Negatives
from models.data import Pixels, Sample
from models.packing import Batch, Encoded, lay_end_to_end, pad_right
from models.prompts import PLAIN_END, conversation_parts, plain_prompt, without_marks
from models.shards import NO_VIEW
from models.text_only import NOTHING, Known, read_for_image
from models.tokenizers import IMAGE_TOKEN, Tokenizer

PromptKind = Literal["image-only", "turns"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # OpenAI CLIP, as open_clip applies it
CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)  # OpenAI CLIP


def normalise(pixels: Sequence[Pixels]) -> torch.Tensor:
    """Grey uint8 pictures [m, P, P] of each example → float32 [M, 3, P, P]."""
    return normalised(stacked(pixels))


def stacked(pixels: Sequence[Pixels]) -> torch.Tensor:
    """Grey uint8 pictures [m, P, P] of each example → uint8 [M, P, P], as loaders ship them: a
    twelfth of the bytes.

    In a loader's worker PyTorch's own collation stacks straight into shared memory, which spares
    a copy of the batch.
    """
    films = [
        torch.from_numpy(np.require(film, requirements="W")) for each in pixels for film in each
    ]
    batch: torch.Tensor = default_collate(films)
    return batch


def normalised(grey: torch.Tensor) -> torch.Tensor:
    """uint8 [M, P, P] → float32 [M, 3, P, P] on the same device."""
    scaled = grey.to(torch.float32).div_(255).unsqueeze(1)
    mean = torch.tensor(CLIP_MEAN, device=grey.device).view(1, 3, 1, 1)
    deviation = torch.tensor(CLIP_DEVIATION, device=grey.device).view(1, 3, 1, 1)
    return (scaled - mean) / deviation


def with_films(batch: Mapping[str, torch.Tensor]) -> Batch:
    """The same batch with its pixels as a model takes them; without images, or where they are so
    already, as it is."""
    films = batch.get("pixel_values")
    if films is None or films.dtype != torch.uint8:
        return dict(batch)
    return {**batch, "pixel_values": normalised(films)}


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
        """pixel_values uint8 [B, P, P] of the first pictures, input_ids and attention_mask [B, T],
        two keys [B]."""
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
            "pixel_values": stacked([pixels[:1] for pixels in _pixels(samples)]),
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
    """Conversations, and which of their tokens are learned.

    Args:
        prompts: ``image-only`` is LLaVA's plain form, ``turns`` Vicuna's conversation; of
            several an example's id chooses one, so that a batch may be cut anywhere. Questions and
            dialogues are conversations always.
        image_tokens: places an image takes; 0 puts a jumble of the answers' words there instead
            (text-only training).
        context_tokens: the text, without the image, is cut to this many tokens at its end.
        packing: examples are laid end to end in one row; else they are padded to the longest.
        learn: the assistant's last answer, all of its answers, or all that is said.
        known: what is known of films that questions are asked about, for text-only training.
    """

    tokenizer: Tokenizer
    prompts: tuple[PromptKind, ...]
    image_tokens: int
    context_tokens: int
    packing: bool = True
    learn: Learned = "last-answer"
    known: Known = field(default_factory=dict)

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """What ``lay_end_to_end`` or ``pad_right`` returns, and pixel_values uint8 [M, P, P]."""
        examples = [self._encoded(sample) for sample in samples]
        batch = lay_end_to_end(examples) if self.packing else pad_right(examples, self._pad_id)
        shown = [sample for sample in samples if sample.view != NO_VIEW]
        if self.image_tokens and shown:
            batch["pixel_values"] = stacked(_pixels(shown))
        return batch

    def fits(self, sample: Sample) -> bool:
        """Whether a conversation is learned whole, without a cut at ``context_tokens``."""
        prompt = prompt_ids(sample, self.tokenizer, "turns", 0 if sample.pixels is None else 1)
        answer = self.tokenizer(sample.target, add_special_tokens=False)["input_ids"]
        return len(prompt) + len(answer) < self.context_tokens

    @property
    def _pad_id(self) -> int:
        pad = self.tokenizer.pad_token_id
        assert pad is not None, "the tokenizer has no padding token"
        return int(pad)

    def _encoded(self, sample: Sample) -> Encoded:
        kind = self.prompts[key_of("prompt", sample.example_id) % len(self.prompts)]
        if sample.task not in REPORT_TASKS:
            kind = "turns"  # what is asked is not to be guessed
        said = (sample, self.tokenizer, kind, self.image_tokens, self.learn, self.known)
        prompt, also = _prompt(*said)
        end = PLAIN_END if kind == "image-only" else self.tokenizer.eos_token
        target = without_marks(sample.target, self.tokenizer.eos_token)
        answer = self.tokenizer(f"{target}{end}", add_special_tokens=False)["input_ids"]
        pictures = 0 if sample.pixels is None else len(sample.pixels)
        room = self.context_tokens - (len(prompt) - pictures * max(0, self.image_tokens - 1))
        if len(answer) > room:
            LOGGER.warning(
                "example %s: answer cut from %d to %d tokens",
                sample.example_id,
                len(answer),
                max(room, 1),
            )
        return Encoded(prompt, answer[: max(room, 1)], also)


def prompt_ids(
    sample: Sample, tokenizer: Tokenizer, prompt: PromptKind, image_tokens: int
) -> list[int]:
    """Token ids of the prompt, ``image_tokens`` places for each of the sample's pictures.

    What stands before and behind the image is cut into tokens apart, as LLaVA does: a SentencePiece
    tokenizer then begins the second part with a word's mark, which published models have seen
    there. An example without an image has no places.
    """
    return _prompt(sample, tokenizer, prompt, image_tokens, "last-answer")[0]


def _prompt(
    sample: Sample,
    tokenizer: Tokenizer,
    prompt: PromptKind,
    image_tokens: int,
    learn: Learned,
    known: Known = NOTHING,
) -> tuple[list[int], tuple[int, ...]]:
    """Token ids of the prompt, and the places of those that are learned."""
    parts = _parts(sample, tokenizer, prompt, image_tokens, known)
    text = "".join(said for said, _ in parts)
    before, mark, behind = text.partition(IMAGE_TOKEN)
    if not mark:
        before, behind = "", text
    cut = len(text) - len(behind)
    ids: list[int] = tokenizer(before)["input_ids"] if mark else []
    if mark:
        assert sample.pixels is not None, "examples were read as text only"
        image_id: int = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        ids += [image_id] * image_tokens * len(sample.pixels)
    wants_spans = learn != "last-answer"
    rest = tokenizer(behind, add_special_tokens=not mark, return_offsets_mapping=wants_spans)
    also: tuple[int, ...] = ()
    if wants_spans:
        spans = _learned_spans(parts, learn, cut)
        also = tuple(
            len(ids) + place
            for place, (start, end) in enumerate(rest["offset_mapping"])
            if end > start and any(first <= start and end <= last for first, last in spans)
        )
    return [*ids, *rest["input_ids"]], also


def _parts(
    sample: Sample, tokenizer: Tokenizer, prompt: PromptKind, image_tokens: int, known: Known
) -> list[tuple[str, str]]:
    """What is said and by whom, with the image's mark or what stands there for it."""
    image: str | None = IMAGE_TOKEN
    if sample.view == NO_VIEW:
        image = None  # nor words in its place: what is asked for is in the request alone
    elif not image_tokens:
        words = read_for_image(sample.behind or sample, known, key_of(sample.example_id))
        image = without_marks(words, tokenizer.eos_token)
    if prompt == "image-only":
        return [(plain_prompt(image or ""), "user")]
    return conversation_parts(sample.turns, image, tokenizer.eos_token)


def _learned_spans(
    parts: Sequence[tuple[str, str]], learn: Learned, cut: int
) -> list[tuple[int, int]]:
    """[first, last) characters behind ``cut`` that are learned: the assistant's, or all but the
    system's line."""
    spans, start = [], 0
    for said, role in parts:
        if role == "assistant" or (learn == "everything" and role != "system"):
            spans.append((max(0, start - cut), start - cut + len(said)))
        start += len(said)
    return spans


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
