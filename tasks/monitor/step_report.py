"""What one unit of work did, as flows return it and the console counts it; knows no Prefect."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepReport:
    """What one unit of work did; ``built`` counts pieces, 0 when it was cached.

    ``seconds`` is what building took, whenever that was; ``checking_seconds`` what finding it
    whole took now.
    """

    key: str
    folder: str
    built: int
    reason: str
    seconds: float
    counts: tuple[tuple[str, int, int], ...]
    checking_seconds: float = 0.0

    @property
    def cached(self) -> bool:
        return self.built == 0
