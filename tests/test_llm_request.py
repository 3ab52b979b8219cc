"""A request's identity, and the schema that goes on the wire."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from llm_world import Verdict, question
from pydantic import BaseModel

from infra.egress import Egress
from infra.llm import Message
from infra.llm.request import schema_name, strict_schema
from tasks.reports.prompts import StructuredReport


class Other(BaseModel):
    word: str


class Inner(BaseModel):
    size: int = 3


class Outer(BaseModel):
    first: Inner
    rest: list[Inner] = []


def test_identity_is_stable_across_runs_and_machines() -> None:
    assert question("lungs clear").identity() == "24d36a1087c78470ad59c6c04263ca17"


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"messages": (Message("user", "lungs clear."),)},
        {"messages": (Message("system", "lungs clear"),)},
        {"messages": (Message("user", "lungs"), Message("user", " clear"))},
        {"answer": Other},
        {"prompt_version": "verdict-2"},
        {"temperature": 0.1},
        {"seed": 8},
        {"seed": None},
        {"max_output_tokens": 51},
    ],
)
def test_all_that_may_change_the_answer_changes_the_identity(change: dict[str, Any]) -> None:
    plain = question("lungs clear")
    assert replace(plain, **change).identity() != plain.identity()


@pytest.mark.parametrize("change", [{"source": "mimic_cxr"}, {"egress": Egress.NEVER}])
def test_the_guard_is_no_part_of_the_identity(change: dict[str, Any]) -> None:
    plain = question("lungs clear")
    assert replace(plain, **change).identity() == plain.identity()


def test_identity_takes_any_text() -> None:
    odd = question("half a surrogate \ud800 and a nul \x00")
    assert len(odd.identity()) == 32


def test_strict_schema_closes_and_requires_every_object() -> None:
    schema = strict_schema(Outer)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["first", "rest"]
    inner = schema["$defs"]["Inner"]
    assert inner["additionalProperties"] is False
    assert inner["required"] == ["size"]
    assert "default" not in inner["properties"]["size"]


def test_strict_schema_of_a_report_allows_null_sections() -> None:
    schema = strict_schema(StructuredReport)
    assert schema["required"] == ["indication", "technique", "findings", "impression"]
    assert {"type": "null"} in schema["properties"]["findings"]["anyOf"]


@pytest.mark.parametrize(
    ("answer", "name"), [(StructuredReport, "structured_report"), (Verdict, "verdict")]
)
def test_schema_names_are_in_snake_case(answer: type[BaseModel], name: str) -> None:
    assert schema_name(answer) == name
