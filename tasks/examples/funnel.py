"""Funnel rows from an artifact's counts, and any funnel as text for the console."""

from __future__ import annotations

from collections.abc import Sequence

from infra.pieces import Count, Piece, add_counts
from sources.funnel import FunnelRow

_HEADER = ("source", "stage", "unit", "in", "kept", "rejected")
_NUMBERS_FROM = 3


def funnel_rows(source: str, stage: str, counts: Sequence[Count]) -> tuple[FunnelRow, ...]:
    """One row per unit of a step that handled one source."""
    return tuple(
        FunnelRow(
            source,
            stage,
            count.unit,
            count.rows_in,
            count.kept,
            tuple(sorted((reason, n) for reason, n in count.rejected.items() if n)),
        )
        for count in counts
    )


def examples_funnel(pieces: Sequence[Piece]) -> tuple[FunnelRow, ...]:
    """One row per source of an examples artifact; a piece's key is ``source-number``."""
    by_source: dict[str, list[Count]] = {}
    for piece in pieces:
        by_source.setdefault(piece.key.rpartition("-")[0], []).extend(piece.counts)
    return tuple(
        row
        for source, counts in sorted(by_source.items())
        for row in funnel_rows(source, "examples", add_counts(counts))
    )


def funnel_text(rows: Sequence[FunnelRow]) -> str:
    """A table of fixed-width columns; below each row its rejections by reason, most first."""
    cells = [_HEADER, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADER))]
    lines = [_line(cells[0], widths)]
    for row, line in zip(rows, cells[1:], strict=True):
        lines.append(_line(line, widths))
        lines += [
            f"    {count:,} {reason}"
            for reason, count in sorted(row.rejected, key=lambda pair: (-pair[1], pair[0]))
        ]
    return "\n".join(lines)


def _cells(row: FunnelRow) -> tuple[str, ...]:
    numbers = (row.rows_in, row.kept, row.rejected_rows)
    return (row.source, row.stage, row.unit, *(f"{number:,}" for number in numbers))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = list(zip(cells, widths, strict=True))
    left = [cell.ljust(width) for cell, width in pairs[:_NUMBERS_FROM]]
    right = [cell.rjust(width) for cell, width in pairs[_NUMBERS_FROM:]]
    return "  ".join([*left, *right])
