"""Generates answers to many prompts at once, each as if it were alone.

Rows leave when they end and waiting ones take their place at once; prompts that show one image
stand next to each other, so that its opening (``models.kv_cache``) is read once for all of them.
How prompts meet in a batch changes nothing but rounding. Shapes: R rows, L tokens, W width, V
vocabulary.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TypeAlias

import torch
from transformers import LlavaForConditionalGeneration

from infra.errors import InputError
from models.collate import normalise
from models.data import Pixels
from models.decode_attention import NextTokenAttention, OpeningAttention, QuestionAttention
from models.kv_cache import CacheSize, KeyValueCache, live_rows
from models.llama_blocks import LanguageModel, product, run_blocks, seen_back
from models.search import Search, SearchRule, choose, new_search

_IMAGES_AT_ONCE = {"cpu": 1, "cuda": 8}
"""Images of one pass through the vision tower (our choice: a CPU gains nothing from more)."""

OpeningKey: TypeAlias = tuple[tuple[int, ...], bytes]


@dataclass(frozen=True)
class Request:
    """One prompt: token ids with its pictures' places, the pictures [m, P, P], most new tokens.

    Of no picture (m = 0) the prompt has no places and is text alone.
    """

    prompt: tuple[int, ...]
    pixels: Pixels
    most: int


@dataclass(frozen=True)
class Answer:
    """Generated ids of request ``number``, with the end token where there is one."""

    number: int
    ids: tuple[int, ...]


@dataclass
class Work:
    """What was done: figures for a person, no part of any result.

    Attributes:
        openings: read; each serves all requests that show its image.
        steps: over live rows; ``busy`` sums their rows, ``room`` the rows there was room for.
    """

    openings: int = 0
    steps: int = 0
    busy: int = 0
    room: int = 0

    @property
    def busy_share(self) -> float:
        return self.busy / self.room if self.room else 0.0


@dataclass(frozen=True)
class Asked:
    """A request cut at the end of its image, or of its first token where it shows none."""

    number: int
    key: OpeningKey
    question: tuple[int, ...]
    request: Request
    rule: SearchRule


@dataclass(frozen=True)
class Live:
    """A request in the batch: its search and where its opening is kept."""

    asked: Asked
    search: Search
    opening: int


@dataclass
class Decoder:
    """A VLM with a Llama, Qwen2 or Mistral inside, ready to answer.

    Never writes the image's token, which stands for an image that nobody gave, nor what the
    model's own ``suppress_tokens`` name.

    Args:
        slots: requests in the batch at once; each takes ``rule.beams`` rows.

    Raises:
        InputError: the language model is none of these.
    """

    model: LlavaForConditionalGeneration
    rule: SearchRule
    slots: int
    work: Work = field(default_factory=Work)

    def __post_init__(self) -> None:
        language = self.model.model.language_model
        if not isinstance(language, LanguageModel):
            raise InputError(
                f"a language model of type '{language.config.model_type}'",
                "llama, qwen2 or mistral, whose blocks the decoder runs",
                "set models.language.architecture and finetune anew",
            )
        self.rule = self._forbid(self.rule)

    @torch.inference_mode()
    def run(self, requests: Sequence[Request]) -> Iterator[list[Answer]]:
        """Answers as they end: one list, maybe empty, after each step.

        Raises:
            InputError: a prompt with its answer may be longer than the model's sliding window.
        """
        if requests:
            yield from Batch.of(self, [self.cut(*each) for each in enumerate(requests)]).run()

    def _forbid(self, rule: SearchRule) -> SearchRule:
        told = getattr(self.model.generation_config, "suppress_tokens", None) or ()
        image = int(self.model.config.image_token_index)
        return replace(rule, never=tuple({image, *rule.never, *told}))

    def cut(self, number: int, request: Request, rule: SearchRule | None = None) -> Asked:
        """The request as a batch takes it.

        Args:
            rule: of this request alone, with as many beams as the decoder's; None is that one.
        """
        image = int(self.model.config.image_token_index)
        places = [place for place, token in enumerate(request.prompt) if token == image]
        expected = len(request.pixels) * int(self.model.config.image_seq_length)
        assert len(places) == expected, f"{len(places)} places for pictures of {expected}"
        end = places[-1] + 1 if places else 1
        assert end < len(request.prompt), "a prompt must ask something"
        digest = blake2b(request.pixels.tobytes(), digest_size=16).digest()
        key, question = (request.prompt[:end], digest), request.prompt[end:]
        return Asked(number, key, question, request, self._forbid(rule) if rule else self.rule)

    def features(self, images: Sequence[Pixels]) -> list[torch.Tensor]:
        """Projected features of each request's pictures [m, P, P], end to end: [m x tokens, W]."""
        pixels = normalise(images).to(self.model.device, self.model.dtype)
        found: list[torch.Tensor] = self.model.model.get_image_features(
            pixel_values=pixels
        ).pooler_output
        pictures = iter(found)
        return [torch.cat([next(pictures) for _ in range(len(each))]) for each in images]


class Batch:
    """Who waits, who is live, and their cache.

    ``live[b]`` holds rows ``b * beams`` and following, so that live rows are always the first.

    Args:
        slots: requests that are live at once.
        size: of the cache; its rows are ``slots * beams``.

    Raises:
        InputError: a prompt with its answer may be longer than the model's sliding window.
    """

    def __init__(self, decoder: Decoder, slots: int, size: CacheSize) -> None:
        self.decoder, self.rule, self.work = decoder, decoder.rule, decoder.work
        self.language = decoder.model.model.language_model
        self.device = decoder.model.device
        self.slots = slots
        self.waiting: deque[Asked] = deque()
        self.left: Counter[OpeningKey] = Counter()
        self.live: list[Live] = []
        self.openings: dict[OpeningKey, int] = {}
        self.features: dict[OpeningKey, torch.Tensor] = {}
        _check_window(self.language, size.opening_tokens + size.tail_tokens)
        self.free = list(range(size.openings))[::-1]
        weight = self.language.embed_tokens.weight
        self.cache = KeyValueCache(self.language.config, size, weight)

    @classmethod
    def of(cls, decoder: Decoder, asked: Sequence[Asked]) -> Batch:
        """A batch of all that will ever be asked, with a cache that is no larger than that."""
        slots, left = min(decoder.slots, len(asked)), Counter(each.key for each in asked)
        size = CacheSize(
            openings=min(slots, len(left)),
            opening_tokens=max(len(opening) for opening, _ in left),
            rows=slots * decoder.rule.beams,
            tail_tokens=max(len(each.question) + each.request.most for each in asked),
        )
        batch = cls(decoder, slots, size)
        batch.waiting, batch.left = deque(_next_to_their_like(asked)), left
        return batch

    def run(self) -> Iterator[list[Answer]]:
        while self.waiting or self.live:
            self._enter(self.slots)
            answers = self._leave()
            if self.live and not (answers and self.waiting):
                self._step()
                answers += self._leave()
            yield answers

    def _enter(self, most: int) -> None:
        """Fill free slots, ``most`` at once, and ask the newcomers' questions in one pass."""
        first = len(self.live)
        while self.waiting and len(self.live) < min(self.slots, first + most):
            asked = self.waiting.popleft()
            search = new_search(asked.rule, asked.request.most, asked.request.prompt)
            self.live.append(Live(asked, search, self._opening(asked)))
        if len(self.live) > first:
            self._ask(first)

    def _opening(self, asked: Asked) -> int:
        """Where the request's opening is kept; read now if no other request brought it."""
        if asked.key not in self.openings:
            place = self._free_opening()
            self._read_opening(asked, place)
            self.openings[asked.key] = place
            self.work.openings += 1
        return self.openings[asked.key]

    def _free_opening(self) -> int:
        return self.free.pop()

    def _let_go(self, key: OpeningKey) -> None:
        """Nobody shows this image any more."""
        self.free.append(self.openings.pop(key))

    def _read_opening(self, asked: Asked, place: int) -> None:
        ids = torch.tensor(asked.key[0], device=self.device)
        hidden = self.language.embed_tokens(ids)
        if len(asked.request.pixels):
            seen = ids == int(self.decoder.model.config.image_token_index)
            hidden[seen] = self._features(asked).to(hidden.dtype)
        positions = torch.arange(len(ids), device=self.device)
        last = len(self.language.layers) - 1
        run_blocks(self.language, hidden, positions, OpeningAttention(self.cache, place, last))
        self.cache.opening_length[place] = len(ids)

    def _features(self, asked: Asked) -> torch.Tensor:
        """The request's image features [m x tokens, W]; the next images' are made beside."""
        if asked.key not in self.features:
            images = {asked.key: asked.request.pixels}
            for each in self.waiting:
                if len(images) == _IMAGES_AT_ONCE.get(self.device.type, 1):
                    break
                if len(each.request.pixels):
                    images.setdefault(each.key, each.request.pixels)
            made = self.decoder.features(list(images.values()))
            self.features = dict(zip(images, made, strict=True))
        return self.features.pop(asked.key)

    def _ask(self, first: int) -> None:
        """The questions of all live requests from ``first`` on, and their first tokens."""
        entering = self.live[first:]
        rows = [(first + number) * self.rule.beams for number in range(len(entering))]
        questions = [each.asked.question for each in entering]
        lengths = [len(question) for question in questions]
        for row, each in zip(rows, entering, strict=True):
            self.cache.opening_of[row] = each.opening
        starts = [len(each.asked.key[0]) for each in entering]
        ids = torch.tensor([token for question in questions for token in question])
        positions = torch.cat(
            [torch.arange(start, start + size) for start, size in zip(starts, lengths, strict=True)]
        )
        states = run_blocks(
            self.language,
            self.language.embed_tokens(ids.to(self.device)),
            positions.to(self.device),
            QuestionAttention(self.cache, rows, lengths),
        )
        assert states is not None
        for row, size in zip(rows, lengths, strict=True):
            self.cache.tail_length[row] = size
        ends = torch.tensor(lengths, device=self.device).cumsum(0) - 1
        self._take(states[ends], first)

    def _step(self) -> None:
        """One token more for every live row."""
        rows = len(self.live) * self.rule.beams
        live = live_rows(self.cache, rows, self.device)
        tokens = [token for each in self.live for token in each.search.tokens]
        ids = torch.tensor(tokens, device=self.device)
        states = run_blocks(
            self.language,
            self.language.embed_tokens(ids),
            live.positions,
            NextTokenAttention(self.cache, live),
        )
        assert states is not None
        for row in range(rows):
            self.cache.tail_length[row] += 1
        self.work.steps += 1
        self.work.busy += len(self.live)
        self.work.room += self.slots
        self._take(states, 0)

    def _take(self, states: torch.Tensor, first: int) -> None:
        """Choose the next tokens from the last states [R, W]; beams that go on twice are copied."""
        going = self.live[first:]
        choose(product(self.decoder.model.lm_head, states), [each.search for each in going])
        for number, each in enumerate(going, first):
            base = number * self.rule.beams
            for source, target in () if each.search.done else each.search.copies:
                self.cache.copy_tail(base + source, base + target)

    def _leave(self) -> list[Answer]:
        """Take out who has ended; the last request's rows move into the gap."""
        answers = []
        for number in reversed(range(len(self.live))):
            each = self.live[number]
            if each.search.done:
                answers.append(Answer(each.asked.number, tuple(each.search.ids)))
                self._close(number)
        return answers

    def _close(self, number: int) -> None:
        key = self.live[number].asked.key
        self.left[key] -= 1
        if not self.left[key]:
            del self.left[key]
            self._let_go(key)
        last = len(self.live) - 1
        if number != last:
            self.live[number] = self.live[last]
            for row in range(self.rule.beams):
                beams = self.rule.beams
                self.cache.copy_tail(last * beams + row, number * beams + row)
        self.live.pop()


def _next_to_their_like(asked: Sequence[Asked]) -> list[Asked]:
    """Requests of one opening together, openings in the order of their first request."""
    groups: dict[OpeningKey, list[Asked]] = {}
    for each in asked:
        groups.setdefault(each.key, []).append(each)
    return [each for group in groups.values() for each in group]


def _check_window(language: LanguageModel, tokens: int) -> None:
    """Up to its window's width a model that looks back so far looks back to the start."""
    window = seen_back(language)
    if window is not None and tokens > window:
        raise InputError(
            f"prompts with answers of up to {tokens} tokens",
            f"at most the {window} of the language model's sliding window",
            "lower generate.max_new_tokens or the image's tokens",
        )
