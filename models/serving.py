"""Findings or an answer for one published image file, the way training saw images: decode, store,
read, ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from infra.errors import InputError
from infra.runs import Device
from infra.settings.sections import GenerateSettings, ImageSettings, RequestSettings
from models.data import Pixels, Sample
from models.shards import NO_VIEW
from models.writer import FindingsWriter, Written
from sources.example import Task, one_line, request_turn
from sources.pixels import PixelError, prepare
from sources.record import Turn, View

SETTINGS_FILE = "serving.json"


class ServingSettings(ImageSettings):
    """How the recipe stores pixels and asks its model, for a report and, in ``answers``, a question
    (None: as for a report)."""

    generate: GenerateSettings = GenerateSettings()
    answers: GenerateSettings | None = None
    section: Literal["findings", "impression"] | None = "findings"
    request: RequestSettings = RequestSettings()


@dataclass(frozen=True)
class Question:
    """One image file (DICOM, PNG or JPEG) with the exam's reason, if known, or with what is asked
    in the place of a report."""

    image: bytes
    indication: str | None = None
    question: str | None = None

    @property
    def is_asked(self) -> bool:
        """Whether something else than a report is wanted."""
        return self.question is not None and bool(self.question.strip())


def read_settings(folder: Path) -> ServingSettings:
    """The settings that ``models.register`` left beside the model.

    Raises:
        InputError: the file is absent.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        raise InputError(f"no {SETTINGS_FILE} in {folder}", "a registered model", "register it")
    return ServingSettings.model_validate_json(path.read_text())


@dataclass(frozen=True)
class FindingsService:
    """A loaded model and its recipe's pixel settings."""

    writer: FindingsWriter
    settings: ServingSettings

    @classmethod
    def load(
        cls,
        model: Path,
        settings: ServingSettings,
        batch_size: int = 8,
        device: Device = "auto",
    ) -> FindingsService:
        """Load a finetune stage's folder."""
        generate = settings.generate.model_copy(update={"batch_size": batch_size})
        return cls(FindingsWriter.load(model, generate, device), settings)

    def answer(self, questions: Sequence[Question]) -> list[Written]:
        """Findings for each question, in order.

        Raises:
            InputError: a file cannot be read as a chest image, or nothing is asked of a model that
                writes no report.
        """
        samples = [self._sample(number, each) for number, each in enumerate(questions)]
        written: dict[int, Written] = {}
        for writer, rows in self._by_writer(questions):
            size = writer.settings.batch_size
            for start in range(0, len(rows), size):
                batch = rows[start : start + size]
                prompts = [writer.prompt(samples[row]) for row in batch]
                answers = writer.write(prompts, [samples[row].pixels for row in batch])
                written.update(zip(batch, answers, strict=True))
        return [written[row] for row in range(len(questions))]

    def _by_writer(self, questions: Sequence[Question]) -> list[tuple[FindingsWriter, list[int]]]:
        """Rows that want a report, and rows that are questions, each with how they are asked."""
        asked = [row for row, each in enumerate(questions) if each.is_asked]
        rest = [row for row, each in enumerate(questions) if not each.is_asked]
        return [(self.writer, rest), (self.answering, asked)]

    @property
    def answering(self) -> FindingsWriter:
        """The same model, asked as for questions."""
        told = self.settings.answers or self.settings.generate
        told = told.model_copy(update={"batch_size": self.writer.settings.batch_size})
        return replace(self.writer, settings=told)

    def _sample(self, number: int, question: Question) -> Sample:
        try:
            pixels = self.pictures([question.image])
        except PixelError as error:
            raise InputError(
                f"image {number}: {error.reason}", "a DICOM, PNG or JPEG chest film", "check it"
            ) from error
        return served_sample(pixels, (self._turn(number, question),), question.indication)

    def pictures(self, published: Sequence[bytes]) -> Pixels:
        """What the model is shown of a study's files, one at least: [m, P, P].

        Raises:
            PixelError: one of them cannot be read as a chest image.
        """
        stored = [prepare(film, self.settings) for film in published]
        return self.writer.canvas.pictures([memoryview(film.pixels) for film in stored])

    def report_turn(self, indication: str | None) -> Turn:
        """The request for the section that the recipe's model writes unasked; it has one."""
        assert self.settings.section is not None, "this model writes no report"
        told = indication if self.settings.generate.prompt == "turns" else None
        return request_turn(Task(self.settings.section), told, self.settings.request)

    def _turn(self, number: int, question: Question) -> Turn:
        if question.question is not None and question.is_asked:
            return Turn("user", one_line(question.question))
        if self.settings.section is None:
            raise InputError(
                f"image {number} without a question", "one: this model writes no report", "ask it"
            )
        return self.report_turn(question.indication)


def served_sample(
    pixels: Pixels | None, turns: tuple[Turn, ...], indication: str | None = None
) -> Sample:
    """Turns about pictures [m, P, P], or about none, as the models take them."""
    return Sample(
        example_id="served",
        source="served",
        study_id="served",
        subject_id=None,
        split="test",
        view=NO_VIEW if pixels is None else View.UNKNOWN.value,
        pixels=pixels,
        indication=indication,
        turns=turns,
        target="",
    )
