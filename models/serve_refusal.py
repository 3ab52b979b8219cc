"""Why a request cannot be answered, with a word that a program can tell it by."""

from __future__ import annotations

from infra.errors import InputError


class Refusal(InputError):
    """A request that this model cannot answer, whoever asks.

    Args:
        code: what is wrong with it: ``image``, ``films``, ``text``, ``question``, ``prompt``,
            ``view`` or ``context_length_exceeded``.
    """

    def __init__(self, code: str, found: str, expected: str, advice: str) -> None:
        self.code = code
        super().__init__(found, expected, advice)
