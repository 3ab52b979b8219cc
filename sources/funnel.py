"""How many rows came in, went on and were rejected, for one source at one step.

A row's rejections add up with what was kept, or the row cannot be made. Every step of the workflow
gives such rows; the console and the report page show them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class FunnelRow:
    """Counts of one source at one stage.

    Args:
        stage: the step that counted (ingest, reports, examples, …).
        unit: what is counted, in the plural (studies, images, texts, rows).
        rows_in: how many came in.
        kept: how many went on.
        rejected: (reason, count) pairs, sorted by reason, each reason once and each count above 0.
    """

    source: str
    stage: str
    unit: str
    rows_in: int
    kept: int
    rejected: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        reasons = [reason for reason, _ in self.rejected]
        assert reasons == sorted(set(reasons)), f"{self.source}: reasons {reasons}"
        assert all(count > 0 for _, count in self.rejected), f"{self.source}: {self.rejected}"
        assert self.rows_in == self.kept + self.rejected_rows, (
            f"{self.source}, {self.stage}: {self.rows_in} {self.unit} in, {self.kept} kept, "
            f"{self.rejected_rows} rejected"
        )

    @property
    def rejected_rows(self) -> int:
        """How many were rejected for any reason."""
        return sum(count for _, count in self.rejected)


def count_funnel(
    source: str, stage: str, unit: str, rows_in: int, kept: int, reasons: Iterable[str]
) -> FunnelRow:
    """A FunnelRow from one reason per rejected row; AssertionError if they do not add up."""
    return FunnelRow(source, stage, unit, rows_in, kept, tuple(sorted(Counter(reasons).items())))
