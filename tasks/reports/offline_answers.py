"""From a chat request's body to the rules' answer: which task is asked, and which rules answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import blake2b
from random import Random
from typing import Any

from tasks.reports.offline_converse import converse
from tasks.reports.offline_judge import judge
from tasks.reports.offline_request import request_film
from tasks.reports.offline_structure import structure
from tasks.reports.offline_synthesize import synthesize
from tasks.reports.offline_translate import translate

MODEL = "offline-rules"

RULES: dict[str, Callable[[dict[str, Any], Random], dict[str, Any]]] = {
    "structured_report": lambda payload, _: structure(payload),
    "translated_report": lambda payload, _: translate(payload),
    "synthesized_report": synthesize,
    "question_set": converse,
    "requested_film": request_film,
    "error_counts": lambda payload, _: judge(payload),
}
"""By the name of the answer's shape: the wire carries it with the schema or in the prompt."""


def answer_question(body: dict[str, Any]) -> str:
    """The answer's JSON text.

    Raises:
        KeyError, TypeError, ValueError: the body is not a question that these rules know.
    """
    messages = body["messages"]
    questions = [item["content"] for item in messages if _is_question(item)]
    if not questions:
        raise ValueError("no user message is a JSON object")
    question = questions[-1]
    seed = blake2b(f"{body.get('seed')}{question}".encode(), digest_size=8).digest()
    rules = RULES[_shape(body, messages)]
    return json.dumps(rules(json.loads(question), Random(seed)), ensure_ascii=False)


def _is_question(message: dict[str, str]) -> bool:
    """The case at hand; a complaint about an earlier answer is no JSON object."""
    return message["role"] == "user" and message["content"].startswith("{")


def _shape(body: dict[str, Any], messages: list[dict[str, str]]) -> str:
    asked = body.get("response_format") or {}
    if asked.get("type") == "json_schema":
        return str(asked["json_schema"]["name"])
    words = " ".join(item["content"] for item in messages if item["role"] == "system")
    return next((name for name in RULES if f"shape {name}." in words), "")
