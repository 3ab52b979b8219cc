"""What the generation bench asks, and of which model: random weights, planted answer lengths.

A model of random weights never ends by itself. Each request is given the length at which its answer
ends, drawn like findings' lengths, and all sides obey it: ours as the request's most new tokens,
``generate`` by a stopping rule that ends each row at its own length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import CONFIG_MAPPING, LlavaConfig, LlavaForConditionalGeneration
from transformers.generation import GenerationConfig, StoppingCriteria

from infra.settings.stages import VisionSettings
from models.collate import normalise, pad_left
from models.data import Pixels
from models.decoding import Decoder, Request
from models.search import SearchRule
from models.towers import initial_spread, tower_config

PAD, BEGIN, END = 0, 1, 2  # as in Llama
GREEDY = SearchRule(END)
TIE = 1e-5
"""Our choice: sums taken in another order move these logits, whose spread is 0.55, by some 1e-6."""


@dataclass(frozen=True)
class Shape:
    """Sizes of the model; by default the bench's: 1,369 image tokens and a vocabulary of 32,000.

    The vision tower has 1.9 % of the language model's parameters, as a ViT-B has 1.3 % of a
    Llama's 7 billion (our choice: the bench is about the language model).
    """

    image_px: int = 518
    patch_px: int = 14
    vision_width: int = 128
    vision_layers: int = 3
    width: int = 512
    feed_forward: int = 1376  # Llama's 11008 at 4096
    layers: int = 6
    heads: int = 8
    key_value_heads: int = 8
    vocabulary: int = 32000
    opening_text: int = 38  # Vicuna's system line and "USER:" in Llama's tokens
    architecture: str = "llama"


@dataclass(frozen=True)
class Traffic:
    """Requests as a test set gives them.

    Args:
        images: how many; each is asked once for every one of ``controls``: 1 its own question,
            2 a shuffled one too, 3 also the same questions with one blank image.
        median_tokens, spread: of the answers' log-normal lengths (our choice, near the findings of
            MIMIC-CXR in Llama's tokens), held between ``shortest`` and ``longest``.
        question: fewest and most tokens after the image: with and without an indication.
    """

    images: int
    controls: int
    median_tokens: int = 80
    spread: float = 0.5
    shortest: int = 12
    longest: int = 256
    question: tuple[int, int] = (18, 60)
    seed: int = 0


def build_model(shape: Shape, seed: int = 0) -> LlavaForConditionalGeneration:
    """The bench's VLM with random weights, float32, on the CPU."""
    torch.manual_seed(seed)
    vision = tower_config(
        VisionSettings(
            image_px=shape.image_px,
            patch_px=shape.patch_px,
            width=shape.vision_width,
            layers=shape.vision_layers,
            heads=4,
        )
    )
    language = CONFIG_MAPPING[shape.architecture](
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        max_position_embeddings=4096,
        initializer_range=initial_spread(shape.width),
        bos_token_id=BEGIN,
        eos_token_id=END,
        pad_token_id=PAD,
    )
    config = LlavaConfig(
        vision_config=vision.to_dict(),
        text_config=language.to_dict(),
        image_token_index=shape.vocabulary - 1,
        image_seq_length=(shape.image_px // shape.patch_px) ** 2,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        projector_hidden_act="gelu",
    )
    return LlavaForConditionalGeneration(config).eval()


def draw_requests(shape: Shape, traffic: Traffic) -> list[Request]:
    """Requests in the order of a test set: all of a control, then all of the next."""
    rng = np.random.default_rng(traffic.seed)
    words = shape.vocabulary - 1
    opening = (BEGIN, *rng.integers(3, words, shape.opening_text - 1).tolist())
    places = (words,) * (shape.image_px // shape.patch_px) ** 2
    side = (1, shape.image_px, shape.image_px)
    images: list[Pixels] = [
        rng.integers(0, 256, side, dtype=np.uint8) for _ in range(traffic.images)
    ]
    blank = np.full(side, 128, dtype=np.uint8)
    questions = [
        tuple(rng.integers(3, words, rng.integers(*traffic.question)).tolist()) for _ in images
    ]
    shown = [images, [*images[1:], images[0]], [blank] * len(images)][: traffic.controls]
    requests = []
    for control in shown:
        for question, image in zip(questions, control, strict=True):
            drawn = traffic.median_tokens * float(np.exp(rng.normal(0, traffic.spread)))
            most = int(np.clip(round(drawn), traffic.shortest, traffic.longest))
            requests.append(Request(opening + places + question, image, most))
    return requests


class OwnLength(StoppingCriteria):  # type: ignore[misc]
    """Ends each row of ``generate`` at its own number of new tokens."""

    def __init__(self, most: Sequence[int], prompt_tokens: int) -> None:
        self.most, self.prompt_tokens = torch.tensor(list(most)), prompt_tokens

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        """[B, T] ids so far → [B] which rows have ended."""
        return self.most.to(input_ids.device) <= input_ids.shape[1] - self.prompt_tokens


def ask_generate(
    model: LlavaForConditionalGeneration, requests: Sequence[Request], rule: SearchRule = GREEDY
) -> list[tuple[int, ...]]:
    """One padded batch of Hugging Face's ``generate``; each row's ids up to its own end.

    With beams the rows of a batch must have equal lengths: its stopping rule ends them together.
    """
    ids, mask = pad_left([request.prompt for request in requests], PAD)
    most = [request.most for request in requests]
    config = GenerationConfig(
        max_new_tokens=max(most),
        num_beams=rule.beams,
        length_penalty=rule.length_penalty,
        early_stopping=rule.stop_early,
        min_new_tokens=rule.least or None,
        repetition_penalty=rule.repetition_penalty,
        do_sample=False,
        use_cache=True,
        bos_token_id=BEGIN,
        eos_token_id=END,
        pad_token_id=PAD,
        suppress_tokens=[model.config.image_token_index, *rule.never],
    )
    with torch.inference_mode():
        shown = [request.pixels for request in requests if len(request.pixels)]
        pictures = {}
        if shown:
            pictures["pixel_values"] = normalise(shown).to(model.device, model.dtype)
        found = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            **pictures,
            generation_config=config,
            stopping_criteria=[OwnLength(most, ids.shape[1])] if rule.beams == 1 else [],
        )
    new = found[:, ids.shape[1] :].tolist()
    return [_up_to_end(row[:length]) for row, length in zip(new, most, strict=True)]


def _up_to_end(ids: list[int]) -> tuple[int, ...]:
    return tuple(ids[: ids.index(END) + 1]) if END in ids else tuple(ids)


def ask_alone(
    model: LlavaForConditionalGeneration, requests: Sequence[Request], rule: SearchRule = GREEDY
) -> list[tuple[int, ...]]:
    """``generate`` for one request after another."""
    return [ask_generate(model, [request], rule)[0] for request in requests]


def ask_padded(
    model: LlavaForConditionalGeneration, requests: Sequence[Request], batch: int
) -> list[tuple[int, ...]]:
    """``generate`` in padded batches, prompts of like length together."""
    order = sorted(range(len(requests)), key=lambda row: (len(requests[row].prompt), row))
    found: dict[int, tuple[int, ...]] = {}
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        found.update(zip(rows, ask_generate(model, [requests[row] for row in rows]), strict=True))
    return [found[row] for row in range(len(requests))]


def parted_at_ties(
    model: LlavaForConditionalGeneration,
    requests: Sequence[Request],
    expected: Sequence[tuple[int, ...]],
    found: Sequence[tuple[int, ...]],
) -> list[bool]:
    """For each request whose ids differ: whether two tokens were equally likely where they part.

    Of thousands of greedy steps by random weights one now and then is a draw between two tokens,
    and rounding decides it; what follows differs altogether.
    """
    rows = zip(requests, expected, found, strict=True)
    return [_is_tie(model, request, one, two) for request, one, two in rows if one != two]


def _is_tie(
    model: LlavaForConditionalGeneration,
    request: Request,
    one: tuple[int, ...],
    two: tuple[int, ...],
) -> bool:
    place = next((at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), None)
    if place is None:  # one is the other's beginning
        return False
    ids = torch.tensor([[*request.prompt, *one[:place]]])
    with torch.inference_mode():
        pixels = normalise([request.pixels]).to(model.device, model.dtype)
        logits = model(input_ids=ids, pixel_values=pixels, logits_to_keep=1).logits[0, -1]
    return bool(abs(logits[one[place]] - logits[two[place]]) <= TIE)


def ask_ours(
    model: LlavaForConditionalGeneration,
    requests: Sequence[Request],
    batch: int,
    rule: SearchRule = GREEDY,
) -> list[tuple[int, ...]]:
    """Our decoder with that many requests in the batch."""
    decoder = Decoder(model, rule, batch)
    found = {each.number: each.ids for some in decoder.run(requests) for each in some}
    return [found[row] for row in range(len(requests))]
