"""Texts that films are drawn from, and films that were drawn: their schemas and a prompt's form.

A prompt begins with the view's sentence, as MedXChat's text between ``<Xray>`` tags does; what
follows is a report's section.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from sources.record import View

VIEW_SENTENCES: Final[dict[str, str]] = {
    View.PA.value: "PA view of the chest was obtained.",  # MedXChat's dialogues
    View.AP.value: "AP view of the chest was obtained.",  # our choice, in its form
    View.LATERAL.value: "Lateral view of the chest was obtained.",  # MedXChat's dialogues
}
"""An unknown view is not spoken of."""

PROMPT_SCHEMA: Final = pa.schema(
    [
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
    ]
)
"""``seed`` is what the film's first noise is drawn from."""

DRAWING_SCHEMA: Final = pa.schema(
    [
        *PROMPT_SCHEMA,
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("pixels", pa.large_binary(), nullable=False),
    ]
)
"""``pixels`` is an 8-bit grey PNG; width and height are its own, in px."""

DRAWN_EXAMPLE_SCHEMA: Final = pa.schema(
    [
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("drawn_of", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("study_id", pa.string(), nullable=False),
        pa.field("text_version", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("steps", pa.int32(), nullable=False),
        pa.field("guidance", pa.float64(), nullable=False),
    ]
)
"""How an example's drawn film came to be: ``drawn_of`` is the example whose text it was drawn from,
``text_version`` and ``origin`` are that text's, ``model`` is the drawing stage's fingerprint. The
prompt itself lies beside the film (DRAWING_SCHEMA) under the id ``drawn_of``."""


DRAWN_FILM_SCHEMA: Final = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False)
          for name in ("example_id", "source", "study_id")),
        pa.field("subject_id", pa.string()),
        *(pa.field(name, pa.string(), nullable=False)
          for name in ("split", "view", "control", "film_id", "prompt_id", "prompt", "reference")),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("pixels", pa.large_binary(), nullable=False),
    ]
)  # fmt: skip
"""A film that was drawn for a test example: ``prompt_id`` is the example, ``reference`` its target.
``control`` is ``none`` for a prompt's first film by the trained model, ``again`` for more of the
same prompt, ``untrained`` for the untrained model's. Readers of films take it as FILM_SCHEMA."""
AGAIN: Final = "again"
UNTRAINED: Final = "untrained"


def drawing_prompt(view: str, text: str) -> str:
    """The view's sentence and the report's text."""
    return " ".join(part for part in (VIEW_SENTENCES.get(view, ""), text.strip()) if part)
