"""What is asked of a language model, the identity of a request, and what comes back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from hashlib import blake2b
from typing import Any, Literal

from pydantic import BaseModel

from infra.egress import Egress

IDENTITY_BYTES = 16
"""128 bits: a collision among 10^9 requests has odds of about 10^-21."""


@dataclass(frozen=True)
class Message:
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class ChatRequest:
    """One question with the shape of its answer.

    ``source`` and ``egress`` guard the way out, and ``study_id`` and ``subject_id`` tell whose the
    text is (``owners``); they are no part of the identity: the same text asked for two sources is
    one request.
    """

    source: str
    egress: Egress
    model: str
    messages: tuple[Message, ...]
    answer: type[BaseModel]
    prompt_version: str
    temperature: float
    seed: int | None
    max_output_tokens: int
    study_id: str | None = None
    subject_id: str | None = None

    def identity(self) -> str:
        """Hash of everything that may change the answer (32 hex digits)."""
        digest = _digest_of(
            self.model,
            self.prompt_version,
            self.answer,
            repr((float(self.temperature), self.seed, self.max_output_tokens)),
        ).copy()
        for message in self.messages:
            _add(digest, message.role)
            _add(digest, message.content)
        return digest.hexdigest()


@cache
def _digest_of(
    model: str, prompt_version: str, answer: type[BaseModel], parameters: str
) -> blake2b:
    """What the identities of all requests of a kind begin with; copy it before adding to it."""
    digest = blake2b(digest_size=IDENTITY_BYTES)
    for part in (model, prompt_version, schema_text(answer), parameters):
        _add(digest, part)
    return digest


def _add(digest: blake2b, part: str) -> None:
    data = part.encode("utf-8", "surrogatepass")
    digest.update(b"%d:" % len(data))
    digest.update(data)


class AnswerStatus(StrEnum):
    """How a request ended. All but ``UNREACHED`` are final: asking again would not help."""

    OK = "ok"
    REFUSED = "refused"
    CONTENT_FILTER = "content-filter"
    TRUNCATED = "truncated"
    INVALID = "invalid"
    CONTEXT_LENGTH = "context-length"
    UNREACHED = "unreached"


@dataclass(frozen=True)
class Answer:
    """What came of one request.

    Args:
        value: the validated answer; None unless ``status`` is ``OK``.
        detail: why an ``UNREACHED`` request was given up (``rate-limited``, ``timeout``, …).
        model: the name the server gave itself.
        cost_usd: None where the price table does not know the model.
        cached: whether it was replayed and cost nothing now.
    """

    request_hash: str
    status: AnswerStatus
    value: BaseModel | None
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    cached: bool = False
    detail: str = ""


def schema_name(answer: type[BaseModel]) -> str:
    """``StructuredReport`` is ``structured_report`` on the wire."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", answer.__name__).lower()


@cache
def strict_schema(answer: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema in the strict dialect: every key required, no others allowed."""
    schema = answer.model_json_schema()
    for node in _objects(schema):
        node["additionalProperties"] = False
        node["required"] = list(node.get("properties", {}))
        for child in node.get("properties", {}).values():
            child.pop("default", None)
    return schema


@cache
def schema_text(answer: type[BaseModel]) -> str:
    """The strict schema as canonical JSON."""
    return json.dumps(strict_schema(answer), sort_keys=True, separators=(",", ":"))


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every object schema below a node, itself included."""
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield node
        for child in node.values():
            yield from _objects(child)
    elif isinstance(node, list):
        for child in node:
            yield from _objects(child)
