"""From a server's reply to a validated answer, whichever way the reply came."""

from __future__ import annotations

from pydantic import BaseModel

from infra.llm.request import AnswerStatus
from infra.llm.transport import Reply

ENDED_EARLY = {
    "refusal": AnswerStatus.REFUSED,
    "content_filter": AnswerStatus.CONTENT_FILTER,
    "length": AnswerStatus.TRUNCATED,
}


def read_answer(
    shape: type[BaseModel], reply: Reply
) -> tuple[AnswerStatus, str | None, BaseModel | None]:
    """How the request ended, the answer's JSON text and the answer, both None if it ended early.

    Raises:
        pydantic.ValidationError: the text does not fit the shape.
    """
    early = ENDED_EARLY.get(reply.finish_reason)
    if early is not None:
        return early, None, None
    content = bare_json(reply.content or "")
    return AnswerStatus.OK, content, shape.model_validate_json(content)


def bare_json(content: str) -> str:
    """The JSON object inside a Markdown fence or other words, where there is one."""
    text = content.strip()
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text
