"""Prompts are versioned: their words cannot change without a new version."""

from __future__ import annotations

import json

import pytest

from evaluation.chexprompt_prompt import JUDGE
from infra.llm.prompt import Prompt
from tasks.reports.comparison import comparison_words
from tasks.reports.fidelity_structured import check_structured
from tasks.reports.fidelity_translated import check_translated
from tasks.reports.prompts import STRUCTURE, SYNTHESIZE, TRANSLATE

PROMPTS = (STRUCTURE, TRANSLATE, SYNTHESIZE, JUDGE)
DIGESTS = {
    "structure-1": "17d5dbc2c5560fd6",
    "translate-1": "5aba7a389ed773ce",
    "synthesize-1": "12b95a4dac950c73",
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


def test_the_translation_example_keeps_its_own_rules() -> None:
    payload, answer = TRANSLATE.examples[0]
    sections = {name: text for name, text in answer.model_dump().items() if text}
    assert check_translated(payload["sections"], sections, payload["language"]) is None
