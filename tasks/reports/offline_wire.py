"""Chat-completion bodies of the offline server: the rules' answer, or the fault in its place."""

from __future__ import annotations

import time
from hashlib import blake2b
from typing import Any

from tasks.reports.offline_answers import MODEL, answer_question

CHARACTERS_PER_TOKEN = 4
"""The usual rule of thumb for English; the rules have no tokenizer."""
DECLINED = {
    "content_filter": (400, "the prompt was filtered", "content_filter"),
    "context_length": (400, "the prompt is too long", "context_length_exceeded"),
}
"""Faults that are final for a request, with the status and code that OpenAI and Azure use."""


def reply_body(
    raw: bytes, body: dict[str, Any], fault: str | None, no_schemas: bool
) -> tuple[int, dict[str, Any]]:
    """Status and body of the reply to a question; ``raw`` is what its id is made of."""
    if fault in DECLINED:
        status, message, code = DECLINED[fault]
        return status, error_body(message, code)
    try:
        body = {**body, "messages": [_in_one_piece(item) for item in body["messages"]]}
        if no_schemas and body["response_format"]["type"] == "json_schema":
            message = "response_format json_schema is not supported"
            return 400, error_body(message, "unsupported")
        text = answer_question(body)
    except (ValueError, KeyError, TypeError) as error:
        return 400, error_body(f"{type(error).__name__}: not a question these rules know", "bad")
    return 200, _completion(raw, body, text, fault)


def _in_one_piece(message: dict[str, Any]) -> dict[str, Any]:
    """The message with its words as one text: some clients send them as a list of text parts."""
    content = message["content"]
    if isinstance(content, list):
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise TypeError("content")
    return {**message, "content": content}


def _completion(raw: bytes, body: dict[str, Any], text: str, fault: str | None) -> dict[str, Any]:
    message: dict[str, str | None] = {"role": "assistant", "content": text, "refusal": None}
    finish = "stop"
    if fault == "refused":
        message["content"], message["refusal"] = None, "No."
    elif fault == "truncated_answer":
        message["content"], finish = text[: len(text) // 2], "length"
    elif fault == "filtered":
        message["content"], finish = "", "content_filter"
    elif fault == "wrong_schema":
        message["content"] = '{"unexpected": true}'
    asked = sum(len(item["content"]) for item in body["messages"]) // CHARACTERS_PER_TOKEN
    said = len(message["content"] or "") // CHARACTERS_PER_TOKEN + 1
    return {
        "id": f"chatcmpl-{blake2b(raw, digest_size=8).hexdigest()}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
    }


def error_body(message: str, code: str) -> dict[str, Any]:
    """An error as OpenAI writes it."""
    entry = {"message": message, "type": "offline_rules", "code": code, "param": None}
    return {"error": entry}
