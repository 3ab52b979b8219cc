"""What one unit of work did, as flows return it and the console counts it; knows no Prefect."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepReport:
    """What one unit of work did; ``built`` counts pieces, 0 when it was cached."""

    key: str
    folder: str
    built: int
    reason: str
    seconds: float
    counts: tuple[tuple[str, int, int], ...]

    @property
    def cached(self) -> bool:
        return self.built == 0
