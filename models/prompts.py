"""How turns become text: Vicuna's conversation (version 1) and LLaVA's plain form.

The image token stands in front of the first user turn. A prompt ends where the assistant speaks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.tokenizers import IMAGE_TOKEN
from sources.record import Turn

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
"""Vicuna 1.1's system line: a constant of the published weights' format."""

_LEAST_SHARE = 0.3  # measured: with fewer words a small model learns to ignore them
PLAIN_END = "\n"  # LLaVA's plain form ends an answer with a line break, not with </s>


def plain_prompt(image: str = IMAGE_TOKEN) -> str:
    """The prompt of image-only training: the image, no request, no indication."""
    return image


def conversation_prompt(turns: Sequence[Turn], image: str = IMAGE_TOKEN, end: str = "</s>") -> str:
    """Vicuna's conversation up to the point where the assistant answers the last user turn.

    Args:
        turns: alternating user and assistant turns, the last one the user's, without image token.
        image: what stands at the image's place, before the first user turn.
        end: what closes an assistant's turn, the tokenizer's own end token; Llama's is Vicuna's.
    """
    return "".join(text for text, _ in conversation_parts(turns, image, end))


def conversation_parts(turns: Sequence[Turn], image: str | None, end: str) -> list[tuple[str, str]]:
    """The same conversation in parts, each with who says it: ``system``, ``user``, ``assistant``.

    Without an image (None) the first user turn begins with its words.
    """
    assert turns, "a conversation needs at least one user turn"
    assert turns[-1].role == "user", f"the last turn is the {turns[-1].role}'s, not the user's"
    said = [(SYSTEM, "system")]
    for index, turn in enumerate(turns):
        words = without_marks(turn.text, end)
        if turn.role == "user":
            first = f"{image}\n" if image is not None and index == 0 else ""
            said.append((f" USER: {first}{words} ASSISTANT:", turn.role))
        else:
            said.append((f" {words}{end}", turn.role))
    return said


def without_marks(text: str, end: str) -> str:
    """Anybody's words, in which the image's mark and the end's are words too: a place for an image
    that nobody shows, or an answer that ends where nobody ended it, is none."""
    for mark in (IMAGE_TOKEN, end):
        text = text.replace(mark, f"{mark[:1]} {mark[1:]}")
    return text


def jumble(text: str, seed: int, least: float = _LEAST_SHARE) -> str:
    """A random share (``least``, a third, to all) of a text's words, each once, in random order.

    Stands at the image's place while a stand-in language model learns (``models.text_only``).
    """
    rng = np.random.default_rng(seed)
    words = sorted({word.strip(".,;:") for word in text.split()})
    count = round(float(rng.uniform(least, 1.0)) * len(words))
    return " ".join(rng.permutation(words)[:count].tolist())
