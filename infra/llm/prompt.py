"""A versioned prompt: fixed words and examples before, one JSON object as the question."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

from pydantic import BaseModel

from infra.llm.request import Message, schema_name, schema_text

Payload = Mapping[str, Any]


@dataclass(frozen=True)
class Prompt:
    """Everything about a task but the case at hand.

    Args:
        version: ``<task>-<number>``, part of every request's identity.
        system: the instruction.
        examples: questions with their answers, all invented.
        answer: the shape of the answer.
    """

    version: str
    system: str
    examples: tuple[tuple[Payload, BaseModel], ...]
    answer: type[BaseModel]

    def messages(self, payload: Payload) -> tuple[Message, ...]:
        """The whole chat for one case."""
        return (*self._opening, Message("user", _as_text(payload)))

    @cached_property
    def _opening(self) -> tuple[Message, ...]:
        closing = f"The answer is one JSON object of the shape {schema_name(self.answer)}."
        opening = [Message("system", f"{self.system.strip()}\n{closing}")]
        for payload, answer in self.examples:
            assert isinstance(answer, self.answer), self.version
            opening.append(Message("user", _as_text(payload)))
            opening.append(Message("assistant", answer.model_dump_json()))
        return tuple(opening)

    def digest(self) -> str:
        """Hash of everything that a new version would change."""
        words = [item.role + item.content for item in self._opening] + [schema_text(self.answer)]
        return blake2b("\n".join(words).encode(), digest_size=8).hexdigest()


def _as_text(payload: Payload) -> str:
    return json.dumps(payload, ensure_ascii=False)
