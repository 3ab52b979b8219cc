"""How turns become text: Vicuna's conversation (version 1) and LLaVA's plain form.

The image token stands in front of the first user turn. A prompt ends where the assistant speaks.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.tokenizers import IMAGE_TOKEN
from sources.record import Turn

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
"""Vicuna 1.1's system line: a constant of the published weights' format."""

PLAIN_END = "\n"  # LLaVA's plain form ends an answer with a line break, not with </s>


def plain_prompt() -> str:
    """The prompt of image-only training: the image, no request, no indication."""
    return IMAGE_TOKEN


def conversation_prompt(turns: Sequence[Turn], *, with_image: bool = True) -> str:
    """Vicuna's conversation up to the point where the assistant answers the last user turn.

    Args:
        turns: alternating user and assistant turns, the last one the user's, without image token.
    """
    assert turns, "a conversation needs at least one user turn"
    assert turns[-1].role == "user", f"the last turn is the {turns[-1].role}'s, not the user's"
    image = f"{IMAGE_TOKEN}\n" if with_image else ""
    said = [SYSTEM]
    for index, turn in enumerate(turns):
        if turn.role == "user":
            said.append(f" USER: {image if index == 0 else ''}{turn.text} ASSISTANT:")
        else:
            said.append(f" {turn.text}</s>")
    return "".join(said)
