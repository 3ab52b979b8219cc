"""How long a stage has been trained, over every attempt: a killed run took its time too.

A checkpoint brings a stage back to where it was killed; without a clock of all attempts, one killed
at nine tenths and resumed would seem to have cost a tenth.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from infra.log import LOGGER

SPENT_FILE = "spent_seconds.txt"
_TELL_EVERY_SECONDS = 10.0  # what a kill can lose; a write of some bytes costs nothing (our choice)


class Attempts:
    """Counts the seconds of this attempt on top of those that the file tells of."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.file, self.clock = file, clock
        self.earlier = _read(file)
        self._began = self._told = clock()

    def tick(self) -> None:
        """Called as often as may be; keeps the sum on disk."""
        if self.clock() - self._told >= _TELL_EVERY_SECONDS:
            self.tell()

    def tell(self) -> None:
        """Write the sum so far; a kill leaves the last one or this one, whole."""
        self._told = self.clock()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{self.earlier + self._told - self._began:.3f}\n", encoding="utf-8")
        fresh.replace(self.file)


def _read(file: Path) -> float:
    if not file.exists():
        return 0.0
    try:
        return float(file.read_text(encoding="utf-8"))
    except ValueError:
        LOGGER.warning("%s is no number: the time of earlier attempts is not counted", file)
        return 0.0
