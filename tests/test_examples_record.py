"""The example record and its Arrow schema."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from infra.settings.sections import RequestSettings
from sources.example import (
    EXAMPLE_IMAGE_TYPE,
    EXAMPLE_SCHEMA,
    Example,
    ExampleImage,
    Task,
    example_from_row,
    examples_to_table,
    one_line,
    request_turn,
)
from sources.record import Origin, Split, Turn, View

ONE = Example(
    example_id="replica/1/a/keep",
    task=Task.FINDINGS,
    source="replica",
    study_id="1",
    subject_id=None,
    split=Split.TRAIN,
    text_version="keep",
    origin=Origin.RADIOLOGIST,
    images=(ExampleImage("a", View.PA, b"\xff\xd8", 320, 256),),
    indication="Cough.",
    turns=(Turn("user", "Describe the findings."),),
    target="Clear lungs.",
    subject_age=61.5,
)


def test_columns_are_the_fields_of_the_record_in_order() -> None:
    assert EXAMPLE_SCHEMA.names == [field.name for field in fields(Example)]
    assert [field.name for field in EXAMPLE_IMAGE_TYPE] == [
        field.name for field in fields(ExampleImage)
    ]


def test_an_example_survives_the_round_trip() -> None:
    table = examples_to_table([ONE])
    assert table.schema.equals(EXAMPLE_SCHEMA)
    assert [example_from_row(row) for row in table.to_pylist()] == [ONE]


def test_enums_come_back_as_enums() -> None:
    back = example_from_row(examples_to_table([ONE]).to_pylist()[0])
    assert back.task is Task.FINDINGS
    assert back.split is Split.TRAIN
    assert back.images[0].view is View.PA


def test_pixels_are_large_binary_so_that_a_shard_may_pass_two_gib() -> None:
    assert EXAMPLE_SCHEMA.field("images").type.value_type.field("pixels").type == pa.large_binary()


@pytest.mark.parametrize("name", ["subject_id", "indication", "subject_age", "site"])
def test_what_a_publisher_may_leave_out_is_nullable(name: str) -> None:
    assert EXAMPLE_SCHEMA.field(name).nullable


@pytest.mark.parametrize("name", ["example_id", "split", "target", "origin", "turns"])
def test_what_training_needs_is_not_nullable(name: str) -> None:
    assert not EXAMPLE_SCHEMA.field(name).nullable


@pytest.mark.parametrize("indication", [None, "", " \n"])
def test_without_indication_the_request_is_one_sentence(indication: str | None) -> None:
    turn = request_turn(Task.FINDINGS, indication)
    assert turn == Turn("user", "Report the findings of this chest X-ray.")


def test_the_indication_stands_in_the_request_on_one_line() -> None:
    assert request_turn(Task.IMPRESSION, "Cough,\n  fever.\n") == Turn(
        "user", "Report the impression of this chest X-ray. Indication: Cough, fever."
    )


def test_a_published_model_is_asked_in_its_own_words() -> None:
    words = RequestSettings(plain="Say it.", with_indication="Given {indication}, say {it}.")
    assert request_turn(Task.FINDINGS, None, words) == Turn("user", "Say it.")
    asked = request_turn(Task.FINDINGS, "a\ncough {x}", words)
    assert asked == Turn("user", "Given a cough {x}, say {it}.")


def test_training_examples_are_asked_in_each_wording_and_held_out_ones_in_the_first() -> None:
    words = RequestSettings(plain="Report.", also=("Describe.", "Assess."))
    asked = [request_turn(Task.FINDINGS, None, words, f"e{n}").text for n in range(600)]
    counts = [asked.count(each) for each in ("Report.", "Describe.", "Assess.")]
    assert sum(counts) == 600
    assert min(counts) > 150
    assert asked[7] == request_turn(Task.FINDINGS, None, words, "e7").text
    assert request_turn(Task.FINDINGS, None, words).text == "Report."


def test_a_recipe_with_words_of_its_own_and_none_for_an_indication_tells_none() -> None:
    own = RequestSettings(plain="Report.", also=("Describe.",))
    told = [request_turn(Task.FINDINGS, "Cough.", own, f"e{n}").text for n in range(50)]
    assert set(told) == {"Report.", "Describe."}
    assert told == [request_turn(Task.FINDINGS, None, own, f"e{n}").text for n in range(50)]
    only_with = RequestSettings(with_indication="After {indication}, report.")
    assert request_turn(Task.FINDINGS, "Cough.", only_with).text == "After Cough., report."


@pytest.mark.parametrize("told", [{"also": ["x"]}, {"plain": "x", "also": ["x"]}])
def test_other_wordings_without_a_first_one_are_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"request\.also needs a plain"):
        RequestSettings.model_validate(told)


@pytest.mark.parametrize("words", ["no place", "{indication} and {indication}", ""])
def test_words_need_one_place_for_the_indication(words: str) -> None:
    with pytest.raises(ValidationError):
        RequestSettings(with_indication=words)


def test_one_line_keeps_the_words() -> None:
    assert one_line(" a\tb \r\n\n c ") == "a b c"
    assert one_line("") == ""
