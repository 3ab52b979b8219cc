"""Prompts are versioned: their words cannot change without a new version."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from evaluation.chexprompt_prompt import JUDGE
from infra.llm.prompt import Prompt
from sources.record import Label, LabelValue, Study
from tasks.reports.comparison import comparison_words
from tasks.reports.concepts import find_concept
from tasks.reports.facts import Fact
from tasks.reports.fidelity_languages import TONGUES
from tasks.reports.fidelity_structured import check_structured
from tasks.reports.fidelity_synthesized import check_synthesized
from tasks.reports.fidelity_translated import check_translated
from tasks.reports.places import Place
from tasks.reports.prompts import CONVERSE, REQUEST, STRUCTURE, SYNTHESIZE, TRANSLATE

PROMPTS = (STRUCTURE, TRANSLATE, SYNTHESIZE, CONVERSE, REQUEST, JUDGE)
DIGESTS = {
    "structure-1": "17d5dbc2c5560fd6",
    "translate-2": "64bb317eb9da725d",
    "synthesize-2": "82d7aa35dcbc93cf",
    "converse-1": "e6edcfdf1e01b9eb",
    "request-1": "57439110fe60e792",
    "chexprompt-1": "6a63aab607d926bd",
}
"""Raise the version in the prompt's module and write the new digest here, both or neither."""


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt.version)
def test_changed_words_need_a_new_version(prompt: Prompt) -> None:
    assert prompt.digest() == DIGESTS[prompt.version]


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt.version)
def test_a_chat_is_system_examples_question(prompt: Prompt) -> None:
    messages = prompt.messages({"report": "¿Qué?"})
    roles = [message.role for message in messages]
    assert roles == ["system", *["user", "assistant"] * len(prompt.examples), "user"]
    assert messages[-1].content == '{"report": "¿Qué?"}'
    for message in messages:
        if message.role == "assistant":
            prompt.answer.model_validate_json(message.content)
        if message.role == "user":
            assert isinstance(json.loads(message.content), dict)


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt.version)
def test_prompts_say_what_may_not_be_added(prompt: Prompt) -> None:
    assert "JSON" in prompt.messages({})[0].content
    assert any(
        word in prompt.system for word in ("Never add", "Nothing is added", "Say nothing")
    ) or (prompt is JUDGE)


def test_the_structuring_example_keeps_its_own_rules() -> None:
    payload, answer = STRUCTURE.examples[0]
    sections = {name: text for name, text in answer.model_dump().items() if text}
    assert comparison_words(sections["findings"] + sections["impression"]) == []
    assert check_structured(payload["report"], {}, sections) is None


@pytest.mark.parametrize(("payload", "answer"), TRANSLATE.examples)
def test_the_translation_examples_keep_their_own_rules(
    payload: dict[str, Any], answer: BaseModel
) -> None:
    sections = {name: text for name, text in answer.model_dump().items() if text}
    assert check_translated(payload["sections"], sections, payload["language"]) is None


def test_there_is_a_translation_example_of_each_language_and_of_stems() -> None:
    payloads = [payload for payload, _ in TRANSLATE.examples]
    assert {payload["language"] for payload in payloads} == set(TONGUES)
    assert any(" ." in payload["sections"]["findings"] for payload in payloads)


def test_the_synthesis_example_keeps_its_own_rules() -> None:
    payload, answer = SYNTHESIZE.examples[0]
    facts = tuple(
        Fact(
            item["name"],
            LabelValue(item["value"]),
            Place(tuple(item.get("sides", ())), item.get("place")),
            count=item.get("count"),
        )
        for item in payload["facts"]
    )
    study = Study("vindr_cxr", "s", None, None)
    sections = {name: text for name, text in answer.model_dump().items() if text}
    assert check_synthesized(_labelled(study, facts), facts, sections) is None
    assert {key for item in payload["facts"] for key in item} == {
        "name", "value", "sides", "place", "count", "readers"
    }  # fmt: skip


def _labelled(study: Study, facts: tuple[Fact, ...]) -> Study:
    """The study with the observations that its facts are instances of."""
    concepts = [(find_concept(fact.name), fact.value) for fact in facts]
    labels = [
        Label(concept.observation, value)
        for concept, value in concepts
        if concept is not None and concept.observation is not None
    ]
    return replace(study, labels=tuple(labels))
