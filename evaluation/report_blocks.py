"""The comparability blocks as ready text: one table per block, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.block_scores import BlockRow, BlockTable
from evaluation.interval_text import plain
from evaluation.report_views import Cell, cell_of
from evaluation.statistics import Interval


@dataclass(frozen=True)
class ShownRow:
    """One metric; ``paper`` is what the paper would print, None where it gives no intervals."""

    metric: str
    own: Cell | None
    paper: Cell | None
    unavailable: str | None


@dataclass(frozen=True)
class ShownBlock:
    """One table; ``paper_heading`` is empty where the paper gives no intervals."""

    name: str
    title: str
    note: str
    paper_heading: str
    rows: list[ShownRow]
    missing: int


def shown_blocks(tables: Sequence[BlockTable]) -> list[ShownBlock]:
    """Every block in order."""
    return [_block(table) for table in tables]


def _block(table: BlockTable) -> ShownBlock:
    convention = table.block.convention
    heading = ""
    if convention is not None:
        heading = f"{convention.centre.capitalize()} of {convention.resamples} draws of "
        heading += {"study": "studies", "subject": "subjects"}[convention.unit]
    rows = [_row(row) for row in table.rows]
    missing = sum(row.own is None for row in rows)
    block = table.block
    return ShownBlock(block.name, block.title, block.note, heading, rows, missing)


def _row(row: BlockRow) -> ShownRow:
    if row.interval is None:
        return ShownRow(row.metric, None, None, row.unavailable)
    own = cell_of(row.interval, row.scale)
    if row.paper is None:
        return ShownRow(row.metric, own, None, None)
    told = Interval(row.paper.centre, row.paper.low, row.paper.high)
    return ShownRow(row.metric, own, cell_of(told, row.scale), None)


def blocks_as_text(tables: Sequence[BlockTable]) -> str:
    """All blocks as aligned plain text, a blank line between them."""
    return "\n\n".join("\n".join(_lines(block)) for block in shown_blocks(tables))


def _lines(block: ShownBlock) -> list[str]:
    wide = max(len(row.metric) for row in block.rows)
    head = f"{'':{wide}}  {'value':>7}  {'95 % CI over subjects':21}  {block.paper_heading}"
    return [f"{block.name}: {block.title}", head.rstrip(), *(_line(r, wide) for r in block.rows)]


def _line(row: ShownRow, wide: int) -> str:
    if row.own is None:
        return f"{row.metric:{wide}}  unavailable: {row.unavailable}"
    cells = [row.own] if row.paper is None else [row.own, row.paper]
    told = "  ".join(f"{plain(cell.value):>7}  {plain(cell.span):21}" for cell in cells)
    return f"{row.metric:{wide}}  {told}".rstrip()
