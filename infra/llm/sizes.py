"""How many tokens a request is going to take, judged by those of its kind that were answered."""

from __future__ import annotations

from dataclasses import dataclass

from infra.llm.request import ChatRequest, schema_text

CHARACTERS_PER_TOKEN = 4.0
"""Of a kind that was never seen: the usual rule of thumb for English."""
MOST_TOKENS_PER_CHARACTER = 4
"""A character has at most four bytes in UTF-8, and a token at least one."""
MEMORY = 0.05
"""Weight of the newest answer in the running mean of its kind; our choice, some 20 answers."""


@dataclass
class _Kind:
    """What is known of one prompt with one model."""

    characters_per_token: float
    output_tokens: float


class Sizes:
    """Running means of one endpoint's answers, a kind being a model and a prompt version."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def expect(self, request: ChatRequest) -> float:
        """Tokens of input and output together."""
        characters = _characters(request)
        kind = self._kinds.get((request.model, request.prompt_version))
        if kind is None:
            given = characters / CHARACTERS_PER_TOKEN
            return given + min(given, request.max_output_tokens)
        return characters / kind.characters_per_token + kind.output_tokens

    def note(self, request: ChatRequest, input_tokens: int, output_tokens: int) -> None:
        """Learn from one answer; servers that count nothing teach nothing, and what cannot be is
        bounded by what can."""
        if input_tokens <= 0:
            return
        input_tokens = min(input_tokens, MOST_TOKENS_PER_CHARACTER * _characters(request))
        output_tokens = min(output_tokens, request.max_output_tokens)
        name = (request.model, request.prompt_version)
        ratio = _characters(request) / input_tokens
        kind = self._kinds.setdefault(name, _Kind(ratio, output_tokens))
        kind.characters_per_token += MEMORY * (ratio - kind.characters_per_token)
        kind.output_tokens += MEMORY * (output_tokens - kind.output_tokens)


def _characters(request: ChatRequest) -> int:
    """Characters that are sent, the schema's among them."""
    return sum(len(item.content) for item in request.messages) + len(schema_text(request.answer))
