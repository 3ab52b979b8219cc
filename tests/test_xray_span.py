"""The span that asks for a picture: whole, cut off, nested, several, empty, misspelt, absent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.xray_span import SpanFault, read_span, with_span

TEXT = "PA view of the chest was obtained. Small left pleural effusion."


def test_what_is_written_is_read_back() -> None:
    answer = read_span(with_span("Here it is.", TEXT))
    assert (answer.said, answer.prompt, answer.fault, answer.spans) == (
        "Here it is.",
        TEXT,
        None,
        1,
    )


@pytest.mark.parametrize(
    ("answer", "said", "prompt", "fault", "spans"),
    [
        ("Sure. <Xray>Clear lungs.</Xray>", "Sure.", "Clear lungs.", None, 1),
        ("<Xray>Clear\n lungs.</Xray> Anything else?", "Anything else?", "Clear lungs.", None, 1),
        ("One. <Xray>a</Xray> Two.", "One. Two.", "a", None, 1),
        ("Sure. <Xray>Clear lungs.", "Sure.", "Clear lungs.", SpanFault.NO_END, 1),
        ("Sure. <Xray>", "Sure.", None, SpanFault.NO_END, 1),
        ("Clear lungs.</Xray>", "Clear lungs.", None, SpanFault.NO_START, 0),
        ("<Xray>a <Xray>b</Xray> c</Xray>", "c", "a b", SpanFault.NESTED, 1),
        ("<Xray><Xray>b", "", "b", SpanFault.NESTED, 1),
        ("<Xray>a</Xray><Xray>b</Xray>", "", "a", SpanFault.SEVERAL, 2),
        ("<Xray> </Xray><Xray>b</Xray>", "", "b", SpanFault.EMPTY, 2),
        ("Sure. <Xray> \n</Xray>", "Sure.", None, SpanFault.EMPTY, 1),
        ("I cannot draw.", "I cannot draw.", None, SpanFault.ABSENT, 0),
        ("", "", None, SpanFault.ABSENT, 0),
        ("< Xray >a< / xray >", "", "a", None, 1),
        ("an x-ray <x> of Xray", "an x-ray <x> of Xray", None, SpanFault.ABSENT, 0),
    ],
)
def test_every_form(
    answer: str, said: str, prompt: str | None, fault: SpanFault | None, spans: int
) -> None:
    found = read_span(answer)
    assert (found.said, found.prompt, found.fault, found.spans) == (said, prompt, fault, spans)


PARTS = st.lists(st.sampled_from(["<Xray>", "</Xray>", "a", " b ", "\n", "<", "Xray>", "< xray >"]))


@given(PARTS)
def test_any_answer_is_read_and_its_parts_agree(parts: list[str]) -> None:
    found = read_span("".join(parts))
    assert (found.fault is SpanFault.ABSENT) <= (found.spans == 0)
    assert found.prompt is None or (found.prompt.strip() and found.spans >= 1)
    if found.fault is None:
        assert found.spans == 1 and found.prompt is not None


@given(st.text(st.characters(exclude_characters="<>"), min_size=1).filter(str.strip))
def test_any_text_comes_back_from_its_span(text: str) -> None:
    assert read_span(with_span("Here.", text)).prompt == " ".join(text.split())
