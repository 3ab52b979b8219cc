"""The one record that every dataset becomes, and its Arrow schema.

A ``Study`` is one examination with one report. Labels are the 14 CheXpert observations with four
values; ``source_labels`` keep the publisher's own words. Identifiers keep the publisher's text.
Tables with these schemas cross package boundaries; a ``Study`` object is one row of such a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from enum import StrEnum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


class Split(StrEnum):
    """Which part of a source a study belongs to."""

    TRAIN = "train"
    VALIDATE = "validate"
    TEST = "test"


class View(StrEnum):
    """Projection of one image; PA and AP are frontal."""

    PA = "PA"
    AP = "AP"
    LATERAL = "LATERAL"
    UNKNOWN = "UNKNOWN"

    @property
    def is_frontal(self) -> bool:
        return self in (View.PA, View.AP)


class LabelValue(StrEnum):
    """Value of one observation; ``UNMENTIONED`` is also what an absent row means."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNCERTAIN = "uncertain"
    UNMENTIONED = "unmentioned"


class Origin(StrEnum):
    """Who wrote a text."""

    RADIOLOGIST = "radiologist"
    TRANSLATED = "translated"
    SYNTHESIZED = "synthesized"


class SectionedBy(StrEnum):
    """Who cut a report into sections."""

    PUBLISHER = "publisher"
    RULES = "rules"
    LLM = "llm"


OBSERVATIONS: tuple[str, ...] = (
    "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion",
    "Pleural Other", "Fracture", "Support Devices", "No Finding",
)  # fmt: skip
"""The 14 observations in the order of CheXbert's output heads (evaluation_metrics 1.6)."""

SECTIONS: tuple[str, ...] = ("indication", "technique", "comparison", "findings", "impression")


@dataclass(frozen=True)
class Image:
    """One view of a study.

    ``uri`` is relative to the source's root with forward slashes; ``archive.zip!member`` points
    inside a zip. Width and height are in pixels of the published file, where its tables give them.
    """

    image_id: str
    view: View
    uri: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class SectionedText:
    """One text version of a report, cut into sections; absent sections are None."""

    origin: Origin
    sectioned_by: SectionedBy
    language: str
    indication: str | None = None
    technique: str | None = None
    comparison: str | None = None
    findings: str | None = None
    impression: str | None = None


@dataclass(frozen=True)
class Label:
    """Value of one of the 14 observations."""

    observation: str
    value: LabelValue


@dataclass(frozen=True)
class SourceLabel:
    """A label in the publisher's own vocabulary.

    ``location`` is the publisher's text. ``votes`` of ``readers`` persons gave it, where several
    read the image (VinDr-CXR).
    """

    name: str
    value: LabelValue
    location: str | None = None
    votes: int | None = None
    readers: int | None = None


@dataclass(frozen=True)
class Box:
    """Axis-aligned box in pixels of the published image: x right, y down, origin top left."""

    image_id: str
    name: str
    x_min: float
    y_min: float
    x_max: float
    y_max: float
    reader: str | None = None


@dataclass(frozen=True)
class Turn:
    """One utterance of a dialogue; ``role`` is ``user`` or ``assistant``."""

    role: str
    text: str


class AnswerType(StrEnum):
    """How a question is answered: by one of a few given words (yes or no among them), or freely."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"


@dataclass(frozen=True)
class Dialogue:
    """Questions and answers about a study's images, as a VQA source publishes them.

    The assistant's text is the publisher's, character for character, but where a docstring says
    otherwise.

    Args:
        dialogue_id: unique inside its source.
        image_ids: the study's own image, then perhaps one of an earlier study of the same subject.
        question_type: what is asked, in the publisher's words (``PRES``, ``abnormality``).
        question_form: how it is asked, in the publisher's words (``para``, ``verify``).
        answer_type: the publisher's, or as the source's docstring derives it.
        answers: the answer's parts where it is a set; one part, the turn's text, elsewhere.
        split: the publisher's, of this question; None: the study's. A study with questions in two
            splits has the more protected one.
        group: ties questions that say the same in other words, for the leakage guard.
    """

    dialogue_id: str
    image_ids: tuple[str, ...]
    turns: tuple[Turn, ...]
    question_type: str | None = None
    question_form: str | None = None
    answer_type: AnswerType | None = None
    answers: tuple[str, ...] = ()
    split: Split | None = None
    group: str | None = None


@dataclass(frozen=True)
class Study:
    """One examination as a source gives it; ``study_id`` is unique inside its source.

    ``subject_age`` is in years; ``acquired_on`` may lie in a shifted century (MIMIC-CXR).
    """

    source: str
    study_id: str
    subject_id: str | None
    split: Split | None
    images: tuple[Image, ...] = ()
    raw_report: str | None = None
    texts: tuple[SectionedText, ...] = ()
    labels: tuple[Label, ...] = ()
    source_labels: tuple[SourceLabel, ...] = ()
    boxes: tuple[Box, ...] = ()
    dialogues: tuple[Dialogue, ...] = ()
    subject_age: float | None = None
    subject_sex: str | None = None
    acquired_on: date | None = None
    manufacturer: str | None = None
    site: str | None = None


def _struct(**columns: pa.DataType) -> pa.DataType:
    return pa.struct([pa.field(name, kind) for name, kind in columns.items()])


_TEXT = pa.string()
TEXT_TYPE = _struct(
    origin=_TEXT, sectioned_by=_TEXT, language=_TEXT, **dict.fromkeys(SECTIONS, _TEXT)
)
IMAGE_TYPE = _struct(image_id=_TEXT, view=_TEXT, uri=_TEXT, width=pa.int32(), height=pa.int32())
LABEL_TYPE = _struct(observation=_TEXT, value=_TEXT)
SOURCE_LABEL_TYPE = _struct(
    name=_TEXT, value=_TEXT, location=_TEXT, votes=pa.int16(), readers=pa.int16()
)
_CORNERS = ("x_min", "y_min", "x_max", "y_max")
BOX_TYPE = _struct(
    image_id=_TEXT, name=_TEXT, **dict.fromkeys(_CORNERS, pa.float64()), reader=_TEXT
)
DIALOGUE_TYPE = _struct(
    dialogue_id=_TEXT,
    image_ids=pa.list_(_TEXT),
    turns=pa.list_(_struct(role=_TEXT, text=_TEXT)),
    **dict.fromkeys(("question_type", "question_form", "answer_type"), _TEXT),
    answers=pa.list_(_TEXT),
    **dict.fromkeys(("split", "group"), _TEXT),
)

STUDY_SCHEMA = pa.schema(
    [
        pa.field("source", _TEXT, nullable=False),
        pa.field("study_id", _TEXT, nullable=False),
        pa.field("subject_id", _TEXT),
        pa.field("split", _TEXT),
        pa.field("images", pa.list_(IMAGE_TYPE)),
        pa.field("raw_report", _TEXT),
        pa.field("texts", pa.list_(TEXT_TYPE)),
        pa.field("labels", pa.list_(LABEL_TYPE)),
        pa.field("source_labels", pa.list_(SOURCE_LABEL_TYPE)),
        pa.field("boxes", pa.list_(BOX_TYPE)),
        pa.field("dialogues", pa.list_(DIALOGUE_TYPE)),
        pa.field("subject_age", pa.float32()),
        pa.field("subject_sex", _TEXT),
        pa.field("acquired_on", pa.date32()),
        pa.field("manufacturer", _TEXT),
        pa.field("site", _TEXT),
    ]
)


class Level(StrEnum):
    """What kind of row was rejected."""

    STUDY = "study"
    IMAGE = "image"
    TEXT = "text"
    DIALOGUE = "dialogue"
    EXAMPLE = "example"


@dataclass(frozen=True)
class Rejected:
    """A row that did not go on, and why.

    ``reason`` is a short code (``file-missing``); ``detail`` is one line that names what was found
    and expected, and never holds report text or a person's data. ``row_id`` is the image's, text's,
    dialogue's or example's id, and the study's own for a study.
    """

    source: str
    level: Level
    row_id: str
    study_id: str | None
    reason: str
    detail: str


REJECTED_SCHEMA = pa.schema(
    [
        pa.field("source", _TEXT, nullable=False),
        pa.field("level", _TEXT, nullable=False),
        pa.field("row_id", _TEXT, nullable=False),
        pa.field("study_id", _TEXT),
        pa.field("reason", _TEXT, nullable=False),
        pa.field("detail", _TEXT, nullable=False),
    ]
)


@dataclass(frozen=True)
class Reading:
    """What a source's ``read`` found: ``studies`` has STUDY_SCHEMA, ``rejected`` REJECTED_SCHEMA.

    ``studies_in`` and ``images_in`` count what the publisher's tables (or folder) list, so that
    nothing can be lost unseen; so does ``dialogues_in`` for questions. A rejected study counts each
    of its images and dialogues as rejected too. ``lost_owners`` tells the subject of each rejected
    study whose subject is known: ingestion stores it beside the row.
    """

    studies: pa.Table
    rejected: pa.Table
    studies_in: int
    images_in: int
    dialogues_in: int = 0
    lost_owners: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.studies.schema.equals(STUDY_SCHEMA), self.studies.schema
        assert self.rejected.schema.equals(REJECTED_SCHEMA), self.rejected.schema
        levels = self.rejected.column("level").to_pylist()
        lost_studies = levels.count(Level.STUDY)
        lost_images = levels.count(Level.IMAGE)
        lost_dialogues = levels.count(Level.DIALOGUE)
        kept_images, kept_dialogues = (
            pc.sum(pc.list_value_length(self.studies.column(name))).as_py() or 0
            for name in ("images", "dialogues")
        )
        assert self.studies_in == self.studies.num_rows + lost_studies, (
            f"studies: {self.studies_in} in, {self.studies.num_rows} kept, {lost_studies} rejected"
        )
        assert self.images_in == kept_images + lost_images, (
            f"images: {self.images_in} in, {kept_images} kept, {lost_images} rejected"
        )
        assert self.dialogues_in == kept_dialogues + lost_dialogues, (
            f"dialogues: {self.dialogues_in} in, {kept_dialogues} kept, {lost_dialogues} rejected"
        )


def studies_to_table(studies: list[Study]) -> pa.Table:
    """Rows of STUDY_SCHEMA, in the given order."""
    return pa.Table.from_pylist([asdict(study) for study in studies], schema=STUDY_SCHEMA)


def rejected_to_table(rows: list[Rejected]) -> pa.Table:
    """Rows of REJECTED_SCHEMA, in the given order."""
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=REJECTED_SCHEMA)


def study_from_row(row: dict[str, Any]) -> Study:
    """The inverse of ``studies_to_table`` for one ``Table.to_pylist`` row."""
    return Study(
        source=row["source"],
        study_id=row["study_id"],
        subject_id=row["subject_id"],
        split=Split(row["split"]) if row["split"] else None,
        images=tuple(
            Image(**{**image, "view": View(image["view"])}) for image in row["images"] or ()
        ),
        raw_report=row["raw_report"],
        texts=tuple(text_from_row(text) for text in row["texts"] or ()),
        labels=tuple(
            Label(label["observation"], LabelValue(label["value"])) for label in row["labels"] or ()
        ),
        source_labels=tuple(
            SourceLabel(**{**label, "value": LabelValue(label["value"])})
            for label in row["source_labels"] or ()
        ),
        boxes=tuple(Box(**box) for box in row["boxes"] or ()),
        dialogues=tuple(_dialogue_from_row(dialogue) for dialogue in row["dialogues"] or ()),
        **{name: row[name] for name in _PLAIN_FIELDS},
    )


def text_from_row(row: dict[str, Any]) -> SectionedText:
    """One SectionedText from a TEXT_TYPE struct."""
    return SectionedText(
        **{
            **row,
            "origin": Origin(row["origin"]),
            "sectioned_by": SectionedBy(row["sectioned_by"]),
        }
    )


def _dialogue_from_row(row: dict[str, Any]) -> Dialogue:
    return Dialogue(
        dialogue_id=row["dialogue_id"],
        image_ids=tuple(row["image_ids"]),
        turns=tuple(Turn(**turn) for turn in row["turns"]),
        question_type=row["question_type"],
        question_form=row["question_form"],
        answer_type=AnswerType(row["answer_type"]) if row["answer_type"] else None,
        answers=tuple(row["answers"] or ()),
        split=Split(row["split"]) if row["split"] else None,
        group=row["group"],
    )


_PLAIN_FIELDS = ("subject_age", "subject_sex", "acquired_on", "manufacturer", "site")
assert set(_PLAIN_FIELDS) < {item.name for item in fields(Study)}
