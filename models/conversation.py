"""A conversation about a study's films: what was said so far, and how the next answer comes about.

Films begin a new conversation, as every example that was trained on has one study's or none. What
asks for a picture (``sources.xray_span``) is drawn, and stays in the history as the words it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from infra.errors import InputError
from infra.settings.sections import ImageSettings
from infra.store import explained_place, make_folder
from models.data import Pixels, Sample
from models.drawing_sampler import DrawingSampler, Request
from models.serving import served_sample
from models.writer import FindingsWriter
from sources.example import one_line
from sources.learned_views import shown_views
from sources.pixels import PixelError, prepare
from sources.record import Turn
from sources.xray_span import SpanFault, XrayAnswer, read_span


@dataclass(frozen=True)
class LackedView:
    """A view that was asked for, and those that what draws has been shown."""

    asked: str
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Reply:
    """What the model answered.

    Args:
        text: all of it, tags included.
        read: the words beside the tags, and the text between them, if any.
        film: the drawn file.
        forgotten: how many of the first exchanges no longer fit beside the question.
        is_cut: whether the answer ran into its length limit.
        lacks: why nothing was drawn of a whole span: its view was never shown.
    """

    text: str
    read: XrayAnswer
    film: Path | None
    forgotten: int
    is_cut: bool
    lacks: LackedView | None = None

    @property
    def fault(self) -> SpanFault | None:
        """What is wrong with the span of an answer that means to have one."""
        absent = self.read.fault is SpanFault.ABSENT
        return None if absent else self.read.fault

    @property
    def to_draw(self) -> str | None:
        """The text of exactly one whole span: of a broken one nobody knows what belongs to it."""
        return self.read.prompt if self.read.fault is None else None


@dataclass
class Conversation:
    """A loaded model, what it is shown, and what was said.

    Args:
        sampler: draws films; None leaves the text to draw as it is.
        shown: what the films were called by who showed them.
        films: folder that gets them, ``film-001.png`` and on; no file there is overwritten.
    """

    writer: FindingsWriter
    images: ImageSettings
    sampler: DrawingSampler | None
    films: Path
    seed: int = 0
    turns: list[Turn] = field(default_factory=list)
    pixels: Pixels | None = None
    shown: tuple[str, ...] = ()
    drawn: int = 0

    def start_anew(self) -> None:
        """Forget what was said and shown."""
        self.turns, self.pixels, self.shown = [], None, ()

    def show(self, *published: bytes) -> None:
        """Begin a new conversation about a study: its films, DICOM, PNG or JPEG files.

        Raises:
            InputError: one cannot be read as a chest image, or they are more than the model is
                shown; nothing is shown then, so that no answer is taken for one about them.
        """
        self.start_anew()
        canvas = self.writer.canvas
        if len(published) > canvas.most_films:
            raise InputError(
                f"{len(published)} films",
                f"{canvas.most_films} at most, for this model is shown no more",
                "show those that matter most; nothing is shown now",
            )
        stored = [self._read(film, number) for number, film in enumerate(published, 1)]
        self.pixels = canvas.pictures([memoryview(film) for film in stored])

    def _read(self, published: bytes, number: int) -> bytes:
        try:
            return prepare(published, self.images).pixels
        except PixelError as error:
            raise InputError(
                f"an image that is {error.reason} ({error.detail}), film {number}",
                "a DICOM, PNG or JPEG chest film",
                "check it; nothing is shown now",
            ) from error

    def say(self, words: str) -> Reply:
        """The model's answer, which joins the history with the words.

        Raises:
            InputError: nothing is said, or more than the model can read beside its film, or what is
                drawn cannot be written; the conversation stays as it was.
        """
        said = one_line(words)
        if not said:
            raise InputError("an empty line", "words for the model", "say something")
        asked = [*self.turns, Turn("user", said)]
        forgotten, prompt = self._fitting(asked)
        [written] = self.writer.write([prompt], [self.pixels])
        read = read_span(written.text)
        reply = Reply(written.text, read, None, forgotten, written.finish_reason == "length")
        if reply.to_draw is not None:
            lacks = self._lacked(reply.to_draw)
            film = self.draw(reply.to_draw) if lacks is None else None
            reply = replace(reply, film=film, lacks=lacks)
        self.turns = [*asked[2 * forgotten :], Turn("assistant", written.text)]
        return reply

    def _fitting(self, asked: list[Turn]) -> tuple[int, list[int]]:
        """How many exchanges are left out from the start, and the prompt of the rest."""
        model = self.writer.model.config.text_config
        room = int(model.max_position_embeddings) - self.writer.settings.max_new_tokens
        for forgotten in range(len(asked) // 2 + 1):
            prompt = self.writer.prompt(self._sample(asked[2 * forgotten :]))
            if len(prompt) <= room:
                return forgotten, prompt
        raise InputError(
            f"a question that takes {len(prompt)} tokens with its film",
            f"at most {room} beside an answer",
            "ask in fewer words",
        )

    def _sample(self, turns: list[Turn]) -> Sample:
        return served_sample(self.pixels, tuple(turns))

    def _lacked(self, prompt: str) -> LackedView | None:
        """The view of a prompt that would be drawn as another one."""
        view = None if self.sampler is None else self.sampler.unlearned(prompt)
        if self.sampler is None or view is None:
            return None
        return LackedView(view, shown_views(self.sampler.views) or ())

    def draw(self, prompt: str) -> Path | None:
        """The file of a film of that text; None where nothing draws.

        Raises:
            InputError: it cannot be drawn or written.
        """
        if self.sampler is None:
            return None
        make_folder(self.films)
        [film] = self.sampler.draw([Request(prompt, self.seed + self.drawn)])
        with explained_place(str(self.films)):
            path = self._new_file()
            try:
                Image.fromarray(film).save(path)
            except OSError:
                path.unlink()
                raise
        self.drawn += 1
        return path

    def _new_file(self) -> Path:
        """An empty file under the first number that is free; another conversation may take one
        meanwhile."""
        number = self.drawn + 1
        while True:
            path = self.films / f"film-{number:03d}.png"
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                number += 1
            else:
                return path
