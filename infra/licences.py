"""What a model may be used for, by the licences of what it was made of."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).with_name("licences.toml")


class Use(StrEnum):
    """What something may be used for; each admits those before it."""

    RESEARCH = "research"
    INTERNAL = "internal"
    COMMERCIAL = "commercial"

    def admits(self, wanted: Use) -> bool:
        """Whether what may be used so may be used as wanted."""
        order = list(Use)
        return order.index(wanted) <= order.index(self)


@dataclass(frozen=True)
class Licence:
    """A licence's name, and the widest use that it admits; None where that is not known."""

    name: str
    use: Use | None


@cache
def weight_licences() -> dict[str, Licence]:
    """By the name that a recipe gives them, the licences of published weights."""
    told = tomllib.loads(FILE.read_text(encoding="utf-8"))["weights"]
    return {name: Licence(one["licence"], Use(one["use"])) for name, one in told.items()}
