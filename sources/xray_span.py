"""The part of an answer that asks for a picture: ``<Xray>`` text to draw ``</Xray>``.

MedXChat's assistant answers a request for a film with a short sentence and the text of the report
that shall be drawn between two tags of plain text (medxchat 1.4). A trained model's tags may come
out wrong; then the fault is named, what can be drawn is still given, and the caller decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

OPEN: Final = "<Xray>"
CLOSE: Final = "</Xray>"
_TAG: Final = re.compile(r"<\s*(/?)\s*xray\s*>", re.IGNORECASE)
"""A tokenizer may have put spaces inside a tag, and a model may write it in small letters."""


class SpanFault(StrEnum):
    """Why an answer is not exactly one picture's text between its tags; the first that holds."""

    NESTED = "nested"
    NO_START = "no-start"
    ABSENT = "no-span"
    NO_END = "no-end"
    EMPTY = "empty"
    SEVERAL = "several"


@dataclass(frozen=True)
class XrayAnswer:
    """An answer taken apart.

    Args:
        said: the words beside the spans, on one line.
        prompt: the text to draw, on one line: the first span's that holds any, up to the answer's
            end where no tag closes it; None where there is nothing to draw.
        fault: None where there is exactly one whole span with text in it.
        spans: how many begin, a nested one not counted.
    """

    said: str
    prompt: str | None
    fault: SpanFault | None
    spans: int


def with_span(said: str, prompt: str) -> str:
    """An answer that ends in the text to draw."""
    return f"{said} {OPEN}{prompt}{CLOSE}"


def read_span(answer: str) -> XrayAnswer:
    """Take an answer apart; every text is one, and none raises."""
    said: list[str] = []
    prompts: list[str] = []
    faults: set[SpanFault] = set()
    inside, place = False, 0
    for tag in _TAG.finditer(answer):
        (prompts if inside else said).append(
            _pop_open(prompts, inside) + answer[place : tag.start()]
        )
        place, closes = tag.end(), bool(tag.group(1))
        if closes != inside:
            faults.add(SpanFault.NO_START if closes else SpanFault.NESTED)
        if not closes and not inside:
            prompts.append("")
        inside = not closes
    (prompts if inside else said).append(_pop_open(prompts, inside) + answer[place:])
    if inside:
        faults.add(SpanFault.NO_END)
    texts = [" ".join(text.split()) for text in prompts]
    faults |= _counted(texts)
    first = next((text for text in texts if text), None)
    fault = next((each for each in SpanFault if each in faults), None)
    return XrayAnswer(" ".join(" ".join(said).split()), first, fault, len(texts))


def _pop_open(prompts: list[str], inside: bool) -> str:
    """What the open span holds already, which a tag inside it has cut; empty outside of one."""
    return f"{prompts.pop()} " if inside else ""


def _counted(texts: list[str]) -> set[SpanFault]:
    faults = {SpanFault.EMPTY} if texts and not all(texts) else set()
    if not texts:
        faults.add(SpanFault.ABSENT)
    if len(texts) > 1:
        faults.add(SpanFault.SEVERAL)
    return faults
