"""The sides of the training bench: one network and the same batches, trained in four ways.

Shapes: B examples, T tokens of a row, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration

from infra.settings.stages import LoraSettings, ModelSettings
from models.collate import ConversationCollator, with_films
from models.data import Sample
from models.packing import Batch, attend_within_examples
from models.tokenizers import Tokenizer, train_language_tokenizer
from models.vlm import language_config, vlm_config, with_lora
from sources.example import Task, request_turn
from sources.replicas.truth import ReplicaSpec, draw_cohort
from sources.replicas.wording import write_report

PIECES = 500
"""Entries of the tokenizer that cuts the reports (our choice: it needs about 1.5 tokens a word)."""

SHAPES = ModelSettings.model_validate(
    {
        # 518 px in patches of 14: the paper's 1,369 image tokens from a tower that costs little
        "vision": {"image_px": 518, "patch_px": 14, "width": 64, "layers": 2, "heads": 2},
        "text_encoder": {"width": 32, "layers": 1, "heads": 2},
        # width and depth of the bar; feed-forward 2.7 times the width and vocabulary as Llama's
        "language": {
            "width": 512,
            "feed_forward": 1376,
            "layers": 6,
            "heads": 8,
            "vocabulary": 32_000,
        },
    }
)
LORA = LoraSettings(rank=64, alpha=128, dropout=0.0)
"""The paper's rank; no dropout, whose chance would part the sides' losses."""

LEARNING_RATE = 1e-4  # the paper's


@dataclass(frozen=True)
class Way:
    """How a side trains: rows packed or padded, logits where labels are or everywhere."""

    name: str
    packing: bool
    supervised: bool


WAYS = (
    Way("plain recipe: padded, logits everywhere", packing=False, supervised=False),
    Way("packing alone", packing=True, supervised=False),
    Way("supervised logits alone", packing=False, supervised=True),
    Way("ours: both", packing=True, supervised=True),
)


class World:
    """Reports of invented chests, their tokenizer and the untrained network."""

    def __init__(self, examples: int, shapes: ModelSettings = SHAPES, seed: int = 0) -> None:
        self.shapes = shapes
        rng = np.random.default_rng(seed)
        side_px = shapes.vision.image_px
        self.samples = [
            replace(each, pixels=rng.integers(0, 256, (1, side_px, side_px)).astype(np.uint8))
            for each in texts(examples, seed)
        ]
        language = shapes.language.model_copy(update={"vocabulary": PIECES})
        said = (each.target for each in texts(2_000, seed + 1))
        self.tokenizer: Tokenizer = train_language_tokenizer(said, language)

    @cached_property
    def network(self) -> LlavaForConditionalGeneration:
        """One VLM for all who copy it, in float32 on the CPU."""
        return self.fresh()

    def fresh(self) -> LlavaForConditionalGeneration:
        """A VLM with seeded random weights, of PyTorch's default type on its default device."""
        torch.manual_seed(0)
        language = language_config(self.shapes.language, self.tokenizer)
        language.vocab_size = self.shapes.language.vocabulary
        image = self.tokenizer.convert_tokens_to_ids("<image>")
        return LlavaForConditionalGeneration(vlm_config(self.shapes, language, image))

    def collator(self, packing: bool) -> ConversationCollator:
        """How the finetune stage makes its batches."""
        context, patches = self.shapes.language.context_tokens, self.shapes.vision.patches
        return ConversationCollator(self.tokenizer, ("turns",), patches, context, packing)


def texts(count: int, seed: int) -> list[Sample]:
    """Findings and impressions of invented chests, asked for as the finetune stage asks.

    Both sections, because the replicas' findings alone are shorter than most radiologists'.
    """
    samples = []
    for truth in draw_cohort(ReplicaSpec(count, seed=seed), "bench", studies_per_subject=1.5):
        written = write_report(truth)
        turns = (request_turn(Task.FINDINGS, written.indication),)
        number = f"e{len(samples)}"
        target = f"{written.findings} {written.impression}"
        asked = (written.indication, turns, target)
        samples.append(Sample(number, "bench", number, number, "train", "PA", None, *asked))
    return samples


class Side:
    """A network of its own, trained in one way."""

    def __init__(self, world: World, way: Way) -> None:
        self.way, self._collate = way, world.collator(way.packing)
        network = deepcopy(world.network)
        if way.packing:
            attend_within_examples(network)
        torch.manual_seed(1)
        self.model = with_lora(network, LORA, with_projector=True).train()
        self.model.config.use_cache = False  # as transformers' trainer sets it
        trained = [each for each in self.model.parameters() if each.requires_grad]
        self._optimizer = torch.optim.AdamW(trained, LEARNING_RATE, weight_decay=0.0)

    def batch(self, samples: Sequence[Sample]) -> Batch:
        """A batch in this side's layout."""
        batch = with_films(self._collate(samples))
        return batch if self.way.supervised else with_logits_everywhere(batch)

    def step(self, batch: Batch) -> float:
        """One optimizer step; the loss, a mean over supervised tokens."""
        loss: torch.Tensor = self.model(**batch).loss
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss.item()


def with_logits_everywhere(batch: Batch) -> Batch:
    """The stock recipe's labels: [B, T] like the ids, -100 where nothing is learned."""
    rest = {name: each for name, each in batch.items() if name not in _SUPERVISION}
    places = batch["logits_to_keep"]
    following = torch.full_like(batch["input_ids"], -100)
    following[places] = batch["labels"]
    if "sequence_starts" in batch:
        return {**rest, "labels": following, "shift_labels": following}
    return {**rest, "labels": following.roll(1, dims=1)}


_SUPERVISION = ("logits_to_keep", "labels", "shift_labels")


def useful_tokens(batch: Batch) -> int:
    """Tokens that are no padding, the images' among them."""
    mask = batch.get("attention_mask")
    return batch["input_ids"].numel() if mask is None else int(mask.sum())
