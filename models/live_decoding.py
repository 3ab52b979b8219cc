"""A decoder that requests join and leave at any step, as they come to a server.

A newcomer takes a free place at the next step, whoever is in the midst of a longer answer; one that
nobody waits for any more gives its place up. Openings of images that were just asked about are kept
a while, for the next question about the same image.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from models.decoding import Answer, Asked, Batch, Decoder, OpeningKey, Request
from models.kv_cache import CacheSize
from models.search import SearchRule

_NEWCOMERS = 4
"""Requests that enter in one step (our choice): those who are live wait no longer for a token than
four openings take to read, and a batch of 16 is still full after four steps."""


class _OpenBatch(Batch):
    """A batch without an end; ``left`` counts live requests by opening.

    ``unused`` holds the openings that no live request shows, the one that was left first in front.
    Every live request shows one opening, and there are more places than slots: one is always free
    or unused.
    """

    def __init__(self, decoder: Decoder, slots: int, size: CacheSize) -> None:
        assert size.openings >= slots, "every slot may show an image of its own"
        super().__init__(decoder, slots, size)
        self.unused: dict[OpeningKey, None] = {}

    def step(self) -> list[Answer]:
        """One token more for everybody; returns who has ended."""
        self._enter(_NEWCOMERS)
        answers = self._leave()
        if self.live:
            self._step()
            answers += self._leave()
        return answers

    def drop(self, number: int) -> bool:
        """Forget a request, if it is here."""
        for place, each in enumerate(self.live):
            if each.asked.number == number:
                self._close(place)
                return True
        for asked in self.waiting:
            if asked.number == number:
                self.waiting.remove(asked)
                return True
        return False

    def _opening(self, asked: Asked) -> int:
        self.left[asked.key] += 1
        self.unused.pop(asked.key, None)
        return super()._opening(asked)

    def _free_opening(self) -> int:
        if self.free:
            return self.free.pop()
        oldest = next(iter(self.unused))
        del self.unused[oldest]
        return self.openings.pop(oldest)

    def _let_go(self, key: OpeningKey) -> None:
        self.unused[key] = None


class LiveDecoder:
    """Steps through whatever requests are there.

    Args:
        decoder: its ``slots`` are how many requests are live at once.
        kept: openings that are kept beyond those of live requests.
        opening_tokens, tail_tokens: the most of a prompt up to its image's end, and of the rest
            with its answer.

    Raises:
        InputError: together they pass the model's sliding window.
    """

    def __init__(
        self, decoder: Decoder, *, kept: int, opening_tokens: int, tail_tokens: int
    ) -> None:
        self.decoder = decoder
        size = CacheSize(
            openings=decoder.slots + kept,
            opening_tokens=opening_tokens,
            rows=decoder.slots * decoder.rule.beams,
            tail_tokens=tail_tokens,
        )
        self._batch = _OpenBatch(decoder, decoder.slots, size)

    def add(self, number: int, request: Request, rule: SearchRule) -> bool:
        """Let a request wait for a place; false where it has more tokens than there is room for.

        Args:
            rule: with as many beams as the decoder's.
        """
        assert rule.beams == self.decoder.rule.beams, "a batch has equally many rows for each"
        asked = self.decoder.cut(number, request, rule)
        size = self._batch.cache.size
        fits = len(asked.key[0]) <= size.opening_tokens
        fits = fits and len(asked.question) + request.most <= size.tail_tokens
        if fits:
            self._batch.waiting.append(asked)
        return fits

    def drop(self, number: int) -> bool:
        """Forget a request; false where it is not here, as after its end."""
        return self._batch.drop(number)

    @torch.inference_mode()
    def step(self) -> list[Answer]:
        """One token more for every live request; returns those that ended."""
        return self._batch.step()

    def so_far(self) -> Iterator[tuple[int, list[int]]]:
        """Number and ids of each live answer; with beams there are none before its end."""
        for each in self._batch.live:
            yield each.asked.number, each.search.ids

    @property
    def waiting(self) -> int:
        """Requests that have no place yet."""
        return len(self._batch.waiting)

    @property
    def live(self) -> int:
        """Requests that have one."""
        return len(self._batch.live)
