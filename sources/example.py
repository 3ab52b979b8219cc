"""What a model trains on: one example, its Arrow schema, and its way back to the study.

A study becomes several examples: one for each image and text version. ``turns`` is what the user
says; the model code adds its own image token and conversation template.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from infra.settings.sections import RequestSettings
from sources.record import Origin, Split, Turn, View

OUR_WORDS = RequestSettings()


class Task(StrEnum):
    """What the model is asked for."""

    FINDINGS = "findings"
    IMPRESSION = "impression"
    VQA = "vqa"
    DIALOGUE = "dialogue"
    GENERATE = "generate"


@dataclass(frozen=True)
class ExampleImage:
    """One stored image of an example: ``pixels`` is an encoded 8-bit grey JPEG or PNG.

    Width and height are in px of the stored image.
    """

    image_id: str
    view: View
    pixels: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Example:
    """One row of EXAMPLE_SCHEMA.

    ``text_version`` names the report version behind ``target`` (keep, structure, …); ``indication``
    is the exam's reason if the text has one, also where ``turns`` leaves it out. ``subject_age`` is
    in years.
    """

    example_id: str
    task: Task
    source: str
    study_id: str
    subject_id: str | None
    split: Split
    text_version: str
    origin: Origin
    images: tuple[ExampleImage, ...]
    indication: str | None
    turns: tuple[Turn, ...]
    target: str
    subject_age: float | None = None
    subject_sex: str | None = None
    manufacturer: str | None = None
    site: str | None = None


_TEXT = pa.string()
EXAMPLE_IMAGE_TYPE = pa.struct(
    [
        pa.field("image_id", _TEXT),
        pa.field("view", _TEXT),
        pa.field("pixels", pa.large_binary()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
    ]
)
TURN_TYPE = pa.struct([pa.field("role", _TEXT), pa.field("text", _TEXT)])

EXAMPLE_SCHEMA = pa.schema(
    [
        pa.field("example_id", _TEXT, nullable=False),
        pa.field("task", _TEXT, nullable=False),
        pa.field("source", _TEXT, nullable=False),
        pa.field("study_id", _TEXT, nullable=False),
        pa.field("subject_id", _TEXT),
        pa.field("split", _TEXT, nullable=False),
        pa.field("text_version", _TEXT, nullable=False),
        pa.field("origin", _TEXT, nullable=False),
        pa.field("images", pa.list_(EXAMPLE_IMAGE_TYPE), nullable=False),
        pa.field("indication", _TEXT),
        pa.field("turns", pa.list_(TURN_TYPE), nullable=False),
        pa.field("target", _TEXT, nullable=False),
        pa.field("subject_age", pa.float32()),
        pa.field("subject_sex", _TEXT),
        pa.field("manufacturer", _TEXT),
        pa.field("site", _TEXT),
    ]
)


def one_line(text: str) -> str:
    """The text with every run of white space, line breaks too, as one space."""
    return " ".join(text.split())


def request_turn(
    task: Task,
    indication: str | None,
    words: RequestSettings = OUR_WORDS,
    trained: str | None = None,
) -> Turn:
    """What the user asks of a model: the section, in the light of the indication if there is one.

    The wording is ours unless ``words`` gives another; that the indication stands in the request,
    on one line, is LLaVA-Rad's. A recipe that asks in words of its own and has none for an
    indication is told none. A served model is asked in the same words as it was trained on.

    Args:
        trained: the id of an example to train on, which chooses among several wordings.
    """
    ours = f"Report the {task} of this chest X-ray."
    untold = words.plain is not None and words.with_indication is None
    if untold or not indication or not indication.strip():
        wordings = (words.plain or ours, *(words.also if trained is not None else ()))
        digest = blake2b((trained or "").encode(), digest_size=8).digest()
        return Turn("user", wordings[int.from_bytes(digest) % len(wordings)])
    asked = words.with_indication or f"{ours} Indication: {{indication}}"
    return Turn("user", asked.replace("{indication}", one_line(indication)))


def examples_to_table(examples: list[Example]) -> pa.Table:
    """Rows of EXAMPLE_SCHEMA, in the given order."""
    return pa.Table.from_pylist([asdict(example) for example in examples], schema=EXAMPLE_SCHEMA)


def example_from_row(row: dict[str, Any]) -> Example:
    """The inverse of ``examples_to_table`` for one ``Table.to_pylist`` row."""
    return Example(
        **{
            **row,
            "task": Task(row["task"]),
            "split": Split(row["split"]),
            "origin": Origin(row["origin"]),
            "images": tuple(
                ExampleImage(**{**image, "view": View(image["view"])}) for image in row["images"]
            ),
            "turns": tuple(Turn(**turn) for turn in row["turns"]),
        }
    )
