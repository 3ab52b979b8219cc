"""Findings or an answer for one published image file, the way training saw images: decode, store,
read, ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.errors import InputError
from infra.settings.sections import GenerateSettings, ImageSettings, RequestSettings
from models.data import Sample
from models.writer import FindingsWriter, Written
from sources.example import Task, one_line, request_turn
from sources.pixels import PixelError, prepare
from sources.record import Turn

SETTINGS_FILE = "serving.json"


class ServingSettings(ImageSettings):
    """How the recipe stores pixels and asks its model."""

    max_new_tokens: int = 256
    beams: int = 1
    section: Literal["findings", "impression"] | None = "findings"
    with_indication: bool = True
    request: RequestSettings = RequestSettings()


@dataclass(frozen=True)
class Question:
    """One image file (DICOM, PNG or JPEG) with the exam's reason, if known, or with what is asked
    in the place of a report."""

    image: bytes
    indication: str | None = None
    question: str | None = None


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
    def load(cls, model: Path, settings: ServingSettings, batch_size: int = 8) -> FindingsService:
        """Load a finetune stage's folder."""
        generate = GenerateSettings(
            batch_size=batch_size, max_new_tokens=settings.max_new_tokens, beams=settings.beams
        )
        return cls(FindingsWriter.load(model, generate, "auto"), settings)

    def answer(self, questions: Sequence[Question]) -> list[Written]:
        """Findings for each question, in order.

        Raises:
            InputError: a file cannot be read as a chest image, or nothing is asked of a model that
                writes no report.
        """
        samples = [self._sample(number, each) for number, each in enumerate(questions)]
        size = self.writer.settings.batch_size
        written: list[Written] = []
        for start in range(0, len(samples), size):
            batch = samples[start : start + size]
            prompts = [self.writer.prompt(sample) for sample in batch]
            written.extend(self.writer.write(prompts, [sample.pixels for sample in batch]))
        return written

    def _sample(self, number: int, question: Question) -> Sample:
        try:
            stored = prepare(question.image, self.settings)
        except PixelError as error:
            raise InputError(
                f"image {number}: {error.reason}", "a DICOM, PNG or JPEG chest film", "check it"
            ) from error
        return Sample(
            example_id=str(number),
            source="served",
            study_id=str(number),
            subject_id=None,
            split="test",
            view="UNKNOWN",
            pixels=self.writer.canvas.pictures([memoryview(stored.pixels)]),
            indication=question.indication,
            turns=(self._turn(number, question),),
            target="",
        )

    def _turn(self, number: int, question: Question) -> Turn:
        if question.question is not None and question.question.strip():
            return Turn("user", one_line(question.question))
        if self.settings.section is None:
            raise InputError(
                f"image {number} without a question", "one: this model writes no report", "ask it"
            )
        asked = question.indication if self.settings.with_indication else None
        return request_turn(Task(self.settings.section), asked, self.settings.request)
