"""The rows of a comparability block: each metric on the block's scale, or why it has no number.

Beside the interval over subjects, which is the honest one, stands the interval as the paper makes
it. LLaVA-Rad draws studies with ``scipy.stats.bootstrap(method="percentile", random_state=3)``;
the same draws and the same percentiles are made here from counts, and a test holds them equal to
scipy's. Shapes: N examples, S studies, B resamples, K counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from evaluation.blocks import RRG24_OVERALL, RRG24_PARTS, Block, Convention, rrg24_overall
from evaluation.board import Board, Families, Score
from evaluation.controls import MODEL
from evaluation.measures import OWN, Measure
from evaluation.signature import Signature
from evaluation.statistics import CONFIDENCE, Bootstrap, Floats, Interval

OVERALL_FAMILY = "rrg24 parts"


@dataclass(frozen=True)
class PaperInterval:
    """As the paper prints it: ``centre`` in the value's place, and its own signature."""

    centre: float
    low: float
    high: float
    signature: Signature


@dataclass(frozen=True)
class BlockRow:
    """One metric on the block's scale; without ``interval`` it is unavailable, and why."""

    metric: str
    scale: str
    interval: Interval | None = None
    paper: PaperInterval | None = None
    unavailable: str | None = None


@dataclass(frozen=True)
class BlockTable:
    """One block with all of its rows."""

    block: Block
    rows: tuple[BlockRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the scores' own signatures are in the list of scores."""
        block = self.block
        head = {"name": block.name, "title": block.title, "note": block.note, "scale": block.scale}
        return {**head, "rows": [_row(row) for row in self.rows]}

    def tracked(self) -> dict[str, float]:
        """``block/metric`` → value on the block's scale, of the rows that have one."""
        return {
            f"{self.block.name}/{row.metric}": row.interval.value
            for row in self.rows
            if row.interval is not None and row.interval.value is not None
        }


def _row(row: BlockRow) -> dict[str, Any]:
    if row.interval is None:
        return {"metric": row.metric, "unavailable": row.unavailable}
    told: dict[str, Any] = {"metric": row.metric, "scale": row.scale, **asdict(row.interval)}
    if row.paper is not None:
        told["paper"] = {**asdict(row.paper), "signature": row.paper.signature.fields()}
    return told


def overall_measure(measures: Mapping[str, Measure], families: Families) -> Measure | None:
    """RRG24's overall where all five parts are measured; their counts are laid side by side.

    Enters the family in ``families`` of every system that has all five.
    """
    if any(name not in measures for name in RRG24_PARTS):
        return None
    parts = [measures[name] for name in RRG24_PARTS]
    cuts: list[int] = []
    for counts in families.values():
        if all(part.family in counts for part in parts):
            beside = [counts[part.family] for part in parts]
            counts[OVERALL_FAMILY] = np.concatenate(beside, axis=1)
            cuts = list(np.cumsum([item.shape[1] for item in beside])[:-1])

    def statistic(sums: Floats) -> Floats:
        cut = np.split(sums, cuts, axis=-1)
        values = [part.statistic(one) for part, one in zip(parts, cut, strict=True)]
        return rrg24_overall(np.stack(values, axis=-1))

    about = {
        "implementation": OWN,
        "version": "1",
        "scale": "0-1",
        "level": f"plain mean of {', '.join(RRG24_PARTS)}",
        "empty_output": "as in each part",
    }
    return Measure(RRG24_OVERALL, OVERALL_FAMILY, statistic, True, about, is_detail=True)


def block_tables(
    board: Board,
    blocks: Sequence[Block],
    measures: Mapping[str, Measure],
    scores: Sequence[Score],
    absent: Mapping[str, str],
) -> tuple[BlockTable, ...]:
    """Every block of the model's own scores; ``absent`` says by metric why there is none."""
    own = {score.metric: score for score in scores if score.control == MODEL}
    found = []
    for block in blocks:
        paper = _paper_board(board, block.convention) if block.convention is not None else None
        rows = [
            _scored(block, measures[name], own[name], paper)
            if name in own
            else BlockRow(name, block.scale, unavailable=absent[name])
            for name in block.metrics
        ]
        found.append(BlockTable(block, tuple(rows)))
    return tuple(found)


def _paper_board(board: Board, convention: Convention) -> Board:
    """The same counts under the paper's resamples."""
    units = board.outputs.studies if convention.unit == "study" else board.outputs.subjects
    drawn = scipy_bootstrap(units, convention.resamples, convention.seed)
    return replace(board, bootstrap=drawn, _drawn={})


def _scored(block: Block, measure: Measure, score: Score, paper: Board | None) -> BlockRow:
    scale, convention = score.signature.scale, block.convention
    is_share = scale in _MOST
    factor = _MOST[block.scale] / _MOST[scale] if is_share else 1.0
    shown = block.scale if is_share else scale
    interval = _scaled(score.interval, factor)
    if paper is None or convention is None or not score.metric.startswith(convention.printed):
        return BlockRow(score.metric, shown, interval)
    draws = factor * measure.statistic(paper.sums(MODEL, measure.family))
    return BlockRow(score.metric, shown, interval, _as_in_paper(draws, score, convention))


_MOST = {"0-1": 1.0, "0-100": 100.0}
"""Scales of shares by their largest value: one of them holds for a whole table."""


def _scaled(interval: Interval, factor: float) -> Interval:
    parts = (interval.value, interval.low, interval.high)
    return Interval(*(None if part is None else factor * part for part in parts))


def _as_in_paper(draws: Floats, score: Score, convention: Convention) -> PaperInterval:
    """Centre and percentiles (numpy's linear ones, as scipy's) of draws (B,)."""
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, centre, high = np.percentile(draws, [tail, 50.0, 100.0 - tail])
    signature = replace(
        score.signature,
        interval="bootstrap percentile 95%, linear",
        resamples=convention.resamples,
        seed=convention.seed,
        unit=convention.unit,
        centre=convention.centre,
    )
    return PaperInterval(float(centre), float(low), float(high), signature)


def scipy_bootstrap(units: Sequence[str], resamples: int, seed: int) -> Bootstrap:
    """The draws of ``scipy.stats.bootstrap`` with that ``random_state``, of units in the order in
    which they first come; all examples of a unit are drawn together."""
    names = {unit: place for place, unit in enumerate(dict.fromkeys(units))}
    of_unit = np.array([names[unit] for unit in units], dtype=np.intp)
    size = len(names)
    random = np.random.RandomState(seed)  # the generator that scipy makes of a seed
    rows = random.randint(0, size, (resamples, size)) + size * np.arange(resamples)[:, None]
    times = np.bincount(rows.ravel(), minlength=resamples * size).reshape(resamples, size)
    return Bootstrap(times.astype(np.float64)[:, of_unit], size, seed)
