"""A served model that writes: many ask at once, and each is answered as if it were alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from infra.errors import InputError
from infra.runs import Device
from infra.served import Ask, Busy, Facts, Told
from models.data import Pixels
from models.decoding import Request
from models.live_decoding import LiveDecoder
from models.llama_blocks import seen_back
from models.search import SearchRule
from models.serve_refusal import Refusal
from models.serving import FindingsService, read_settings, served_sample
from models.synthetic_film import synthetic_film
from models.writer import FindingsWriter
from sources.example import one_line
from sources.pixels import PixelError
from sources.record import Turn


@dataclass(frozen=True)
class Prepared:
    """An ask whose films are read and whose words are tokens."""

    ask: Ask
    request: Request
    writer: FindingsWriter


@dataclass
class Answering:
    """The model with everybody who waits for it.

    ``prepare`` may be called by any thread, all else by one.

    Args:
        openings: images kept beyond those that are asked about.
    """

    service: FindingsService
    slots: int
    openings: int
    tokens: int = 0
    steps: int = 0
    _reads: threading.Lock = field(default_factory=threading.Lock)
    _asks: dict[int, Prepared] = field(default_factory=dict)
    _told: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.writers = (self.service.writer, self.service.answering)
        self.most_films = self.service.writer.canvas.most_films
        self.decoders = {beams: self._decoder(beams) for beams in self._beams()}

    @classmethod
    def load(
        cls, model: Path, settings: Path, slots: int, openings: int, device: Device
    ) -> Answering:
        """From the two folders of a registered model."""
        service = FindingsService.load(model, read_settings(settings), slots, device)
        return cls(service, slots, openings)

    def _beams(self) -> list[int]:
        """One batch for each number of beams that is asked with."""
        return sorted({writer.settings.beams for writer in self.writers})

    def _decoder(self, beams: int) -> LiveDecoder:
        writer = next(each for each in self.writers if each.settings.beams == beams)
        side_px = writer.canvas.side_px
        pictures = self.most_films if writer.canvas.layout == "separate" else 1
        blank = served_sample(_blank(pictures, side_px), (Turn("user", "a"),))
        prompt = writer.prompt(blank)
        opening = len(writer.decoder().cut(0, writer.request(prompt, blank.pixels)).key[0])
        return LiveDecoder(
            writer.decoder(),
            kept=self.openings,
            opening_tokens=opening,
            tail_tokens=self._positions() - opening,
        )

    def _positions(self) -> int:
        """Tokens of the longest conversation, its answer among them."""
        model = self.service.writer.model
        positions = int(model.config.text_config.max_position_embeddings)
        return min(positions, seen_back(model.model.language_model) or positions)

    def facts(self) -> Facts:
        """What this model is."""
        device = str(self.service.writer.model.device)
        reports = self.service.settings.section is not None
        return Facts(False, device, self.slots, reports, self.most_films)

    def warm_up(self) -> None:
        """Answer once in every way, so that nobody else waits for what a first answer takes.

        Raises:
            InputError: the model cannot be asked.
        """
        turns = (("user", "Is there a pneumothorax?"),)
        asks = [Ask(-1, "talk", turns, films=(synthetic_film(),), most_tokens=2)]
        if self.service.settings.section is not None:
            asks.append(Ask(-2, "report", films=(synthetic_film(),), most_tokens=2))
        for ask in asks:
            self.add(self.prepare(ask))
        while self.is_busy:
            list(self.step())
        self.steps = self.tokens = 0

    def prepare(self, ask: Ask) -> Prepared:
        """Read the films and the words.

        Raises:
            InputError: a film cannot be read, nothing is asked, or more than the model can read.
        """
        if len(ask.films) > self.most_films:
            raise Refusal(
                "films",
                f"{len(ask.films)} films",
                f"{self.most_films} at most: the model is shown no more",
                "send those that matter most",
            )
        if ask.kind == "report" and self.service.settings.section is None:
            raise Refusal(
                "question", "no question", "one: this model writes no report", "ask something"
            )
        pixels = self._pixels(ask)
        writer = self.writers[ask.kind == "talk"]
        turns = tuple(Turn(role, one_line(text)) for role, text in ask.turns)
        if ask.kind == "report":
            turns = (self.service.report_turn(ask.indication),)
        with self._reads:  # a tokenizer is no matter for two threads
            self._refuse_marks(turns)
            prompt = writer.prompt(served_sample(pixels, turns, ask.indication))
        return Prepared(ask, self._request(writer, prompt, pixels, ask), writer)

    def _pixels(self, ask: Ask) -> Pixels | None:
        try:
            return self.service.pictures(ask.films) if ask.films else None
        except PixelError as error:
            raise Refusal(
                "image",
                f"a film that is {error.reason}",
                "a DICOM, PNG or JPEG chest film",
                "check it",
            ) from error

    def _refuse_marks(self, turns: tuple[Turn, ...]) -> None:
        """A text must not bring tokens that only the prompt's form may have, as an image's."""
        marks = [mark for mark in self.service.writer.tokenizer.all_special_tokens if mark]
        for turn in turns:
            found = next((mark for mark in marks if mark in turn.text), None)
            if found is not None:
                raise Refusal("text", f"'{found}' in a text", "words", "take it out")

    def _request(
        self, writer: FindingsWriter, prompt: list[int], pixels: Pixels | None, ask: Ask
    ) -> Request:
        image = int(writer.model.config.image_token_index)
        places = 0 if pixels is None else len(pixels) * int(writer.model.config.image_seq_length)
        if prompt.count(image) != places:
            raise Refusal("text", "an image's token in a text", "words", "take it out")
        request = writer.request(prompt, pixels)
        if ask.most_tokens is not None:
            request = replace(request, most=max(1, min(ask.most_tokens, request.most)))
        room = self._positions() - request.most
        if len(prompt) > room:
            raise _too_long(len(prompt), room)
        return request

    def add(self, prepared: Prepared) -> None:
        """Let it wait for a place.

        Raises:
            InputError: it is longer than any place.
        """
        number, rule = prepared.ask.number, prepared.writer.rule
        decoder = self.decoders[rule.beams]
        if not decoder.add(number, prepared.request, _without_more(rule, prepared.request)):
            raise _too_long(len(prepared.request.prompt), self._positions() - prepared.request.most)
        self._asks[number] = prepared
        if prepared.ask.streams:
            self._told[number] = ""

    def drop(self, number: int) -> None:
        """Nobody waits for it any more."""
        for decoder in self.decoders.values():
            decoder.drop(number)
        self._asks.pop(number, None)
        self._told.pop(number, None)

    @property
    def is_busy(self) -> bool:
        return bool(self._asks)

    def busy(self) -> Busy:
        """How many wait and are live, and what was done so far."""
        decoders = self.decoders.values()
        waiting, live = (
            sum(getattr(each, name) for each in decoders) for name in ("waiting", "live")
        )
        return Busy(waiting, live, self.steps, self.tokens)

    def step(self) -> Iterator[Told]:
        """One token more for everybody: answers that ended, and what streams have grown by."""
        for decoder in self.decoders.values():
            if not decoder.waiting + decoder.live:
                continue
            self.steps += 1
            for answer in decoder.step():
                prepared = self._asks.pop(answer.number)
                self._told.pop(answer.number, None)
                written = prepared.writer.written(answer.ids)
                self.tokens += len(answer.ids)
                read = len(prepared.request.prompt)
                yield Told(
                    answer.number, "done", written.text, written.finish_reason, read, written.tokens
                )
            yield from self._grown(decoder)

    def _grown(self, decoder: LiveDecoder) -> Iterator[Told]:
        for number, ids in decoder.so_far():
            if number in self._told and ids:
                whole = whole_words(self._asks[number].writer.written(ids).text)
                if len(whole) > len(self._told[number]):
                    self._told[number] = whole
                    yield Told(number, "text", whole)


def whole_words(text: str) -> str:
    """The text without its last word, which may still grow: a token may be a part of one, or a part
    of a letter."""
    return text.rpartition(" ")[0]


def _without_more(rule: SearchRule, request: Request) -> SearchRule:
    """An answer that is cut short cannot have as many tokens as the recipe asks for at least."""
    return replace(rule, least=min(rule.least, request.most))


def _too_long(found: int, room: int) -> InputError:
    return Refusal(
        "context_length_exceeded",
        f"a conversation of {found} tokens, its films among them",
        f"{max(room, 0)} at most beside an answer",
        "ask in fewer words, or begin anew",
    )


def _blank(pictures: int, side_px: int) -> Pixels:
    return np.zeros((pictures, side_px, side_px), np.uint8)
