"""The comparability blocks as ready text: one table per block, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.block_scores import BlockRow, BlockTable
from evaluation.controls import MODEL
from evaluation.interval_text import plain
from evaluation.report_views import Cell, cell_of
from evaluation.scores import Scores
from evaluation.statistics import Interval
from evaluation.unavailable import by_reason


@dataclass(frozen=True)
class ShownRow:
    """One metric; ``paper`` is what the paper would print, None where it gives no intervals."""

    metric: str
    scale: str
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
    if convention is not None and any(row.paper is not None for row in table.rows):
        heading = f"{convention.centre.capitalize()} of {convention.resamples} draws of "
        heading += {"study": "studies", "subject": "subjects"}[convention.unit]
    rows = [_row(row) for row in table.rows]
    missing = sum(row.own is None for row in rows)
    block = table.block
    return ShownBlock(block.name, block.title, block.note, heading, rows, missing)


def _row(row: BlockRow) -> ShownRow:
    if row.interval is None:
        return ShownRow(row.metric, row.scale, None, None, row.unavailable)
    own = cell_of(row.interval, row.scale)
    if row.paper is None:
        return ShownRow(row.metric, row.scale, own, None, None)
    told = Interval(row.paper.centre, row.paper.low, row.paper.high)
    return ShownRow(row.metric, row.scale, own, cell_of(told, row.scale), None)


def blocks_as_text(tables: Sequence[BlockTable]) -> str:
    """All blocks as aligned plain text, a blank line between them."""
    return "\n\n".join("\n".join(_lines(block)) for block in shown_blocks(tables))


def _lines(block: ShownBlock) -> list[str]:
    """Rows with a value, then those without, together where one reason holds for several."""
    measured = [row for row in block.rows if row.own is not None]
    absent = by_reason({r.metric: r.unavailable or "" for r in block.rows if r.own is None})
    wide = max([len(row.metric) for row in measured] + [len(names) for names, _ in absent])
    head = f"{'':{wide}}  {'scale':5}  {'value':>7}  {'95 % CI over subjects':21}"
    lines = [f"{block.name}: {block.title}", f"{head}  {block.paper_heading}".rstrip()]
    lines += [_line(row, wide) for row in measured]
    return lines + [f"{names:{wide}}  unavailable: {reason}" for names, reason in absent]


def support_as_text(scores: Scores) -> str:
    """How many labels each macro F1 is made of; one without support has an F1 of 0."""
    found = []
    for labeler, systems in (("rule14", scores.labels), ("CheXbert", scores.chexbert_labels)):
        labels = systems.get(MODEL, [])
        held = sorted((one for one in labels if one.support), key=lambda one: -one.support)
        if labels:
            told = ", ".join(f"{one.observation} {one.support:,}" for one in held) or "none"
            found.append(
                f"{labeler}: {len(held)} of {len(labels)} labels have support, references that "
                f"assert it: {told}"
            )
    return "\n".join(found)


def _line(row: ShownRow, wide: int) -> str:
    assert row.own is not None, "a row without a value has a reason"
    cells = [row.own] if row.paper is None else [row.own, row.paper]
    told = "  ".join(f"{plain(cell.value):>7}  {plain(cell.span):21}" for cell in cells)
    return f"{row.metric:{wide}}  {row.scale:5}  {told}".rstrip()
