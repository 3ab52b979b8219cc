"""A served model that draws: prompts come in, films leave; what waits is drawn together."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from infra.served import Ask, Busy, Facts, Told
from infra.settings.diffusion import DrawSettings
from models.drawing_sampler import DrawingSampler, Request
from models.serve_refusal import Refusal
from sources.learned_views import ASK_ANOTHER, VIEWS_FILE, read_views, told_apart

SETTINGS_FILE = "drawing.json"


@dataclass
class Drawing:
    """The pipeline with everybody who waits for a film.

    A film follows from its prompt and seed, whatever is drawn beside it. One that is begun is
    finished with its batch, even if nobody waits for it any more.
    """

    sampler: DrawingSampler
    films: int = 0
    batches: int = 0
    _waiting: dict[int, Request] = field(default_factory=dict)

    @classmethod
    def load(cls, model: Path, settings: Path, device: str) -> Drawing:
        """From the two folders of a registered model."""
        told = DrawSettings.model_validate_json((settings / SETTINGS_FILE).read_text())
        views = read_views(settings / VIEWS_FILE)
        return cls(DrawingSampler.load(model, told, device, views=views))

    def facts(self) -> Facts:
        """What this model is."""
        device = next(self.sampler.model.parameters()).device
        return Facts(True, str(device), self.sampler.settings.batch_size)

    def warm_up(self) -> None:
        """Draw once, for what a first film takes."""
        self.add(self.prepare(Ask(-1, "draw", prompt="The lungs are clear.")))
        list(self.step())
        self.films = self.batches = 0

    def prepare(self, ask: Ask) -> Ask:
        """Look at the prompt.

        Raises:
            InputError: it is empty, or of a view that this model has not been shown.
        """
        if not ask.prompt.strip():
            raise Refusal("prompt", "no prompt", "what the film shall show", "write it")
        view = self.sampler.unlearned(ask.prompt)
        if view is not None:
            raise Refusal("view", *told_apart(view, self.sampler.views), ASK_ANOTHER)
        return ask

    def add(self, prepared: Ask) -> None:
        """Let it wait for the next batch."""
        self._waiting[prepared.number] = Request(prepared.prompt, prepared.seed)

    def drop(self, number: int) -> None:
        """Nobody waits for it any more."""
        self._waiting.pop(number, None)

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting)

    def busy(self) -> Busy:
        """How many wait, and what was drawn so far; ``tokens`` counts films."""
        return Busy(len(self._waiting), 0, self.batches, self.films)

    def step(self) -> Iterator[Told]:
        """The films of those that waited longest."""
        numbers = list(self._waiting)[: self.sampler.settings.batch_size]
        films = self.sampler.draw([self._waiting.pop(number) for number in numbers])
        self.films, self.batches = self.films + len(numbers), self.batches + 1
        for number, film in zip(numbers, films, strict=True):
            with io.BytesIO() as sink:
                Image.fromarray(film).save(sink, "PNG")
                yield Told(number, "done", film=sink.getvalue())
