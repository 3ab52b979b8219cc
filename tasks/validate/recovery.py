"""How much of what was planted a judge finds, cell by cell, and how often it cries wolf."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from evaluation.chexprompt import KINDS
from evaluation.controls import MODEL
from evaluation.judged import TIERS
from infra.egress import Egress
from infra.llm import Client
from tasks.score.judge import PAIR_SCHEMA, judge_pairs
from tasks.validate.planted import CELLS, Cell, PlantedPair, planted_pairs

SOURCE = "replicas"
"""What the audit log calls these texts; they are synthetic, so they may go anywhere."""


@dataclass(frozen=True)
class CellRecovery:
    """One judge and cell; shares are of judged pairs, None where none was judged.

    Args:
        planted: pairs with an error of this cell; ``failed`` of them got no counts.
        recovered: share of them in which the judge counts an error in the cell.
        alone: share in which it counts that one error and nothing else.
        false_alarms: share of paraphrases in which it counts an error in the cell.
        spill: share of pairs with another error planted in which it counts one in this cell too.
    """

    judge: str
    tier: str
    kind: str
    planted: int
    failed: int
    recovered: float | None
    alone: float | None
    false_alarms: float | None
    spill: float | None


@dataclass(frozen=True)
class Recovery:
    """All cells of all judges; ``pairs`` counts what each was asked."""

    pairs: int
    seed: int
    cells: tuple[CellRecovery, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def recover_planted(client: Client, judges: Sequence[str], per_cell: int, seed: int) -> Recovery:
    """Ask the judges about ``planted_pairs`` and set their counts against what was planted."""
    pairs = planted_pairs(per_cell, seed)
    table = pa.Table.from_pylist(
        [
            {
                "example_id": str(place),
                "control": MODEL,
                "source": SOURCE,
                "prediction": pair.prediction,
                "reference": pair.reference,
            }
            for place, pair in enumerate(pairs)
        ],
        schema=PAIR_SCHEMA,
    )
    judged = judge_pairs(table, judges, client, lambda _: Egress.ANY).to_pylist()
    found = []
    for judge in judges:
        counted = [_counts(row) for row in judged if row["judge"] == judge]
        found += [_recovery(judge, cell, pairs, counted) for cell in CELLS]
    return Recovery(len(pairs), seed, tuple(found))


def _counts(row: dict[str, Any]) -> dict[Cell, int] | None:
    """The cells with errors; None where the judge gave no counts."""
    if row["failure"] is not None:
        return None
    return {
        (tier, kind): count
        for tier in TIERS
        for kind, count in zip(KINDS, row[tier], strict=True)
        if count
    }


def _recovery(
    judge: str,
    cell: Cell,
    pairs: Sequence[PlantedPair],
    counted: Sequence[dict[Cell, int] | None],
) -> CellRecovery:
    both = list(zip(pairs, counted, strict=True))
    own = [errors for pair, errors in both if pair.cell == cell]
    known = [errors for errors in own if errors is not None]
    paraphrased = [errors for pair, errors in both if pair.cell is None and errors is not None]
    others = [errors for pair, errors in both if pair.cell not in (None, cell)]
    return CellRecovery(
        judge,
        *cell,
        planted=len(own),
        failed=len(own) - len(known),
        recovered=_share([cell in errors for errors in known]),
        alone=_share([errors == {cell: 1} for errors in known]),
        false_alarms=_share([cell in errors for errors in paraphrased]),
        spill=_share([cell in errors for errors in others if errors is not None]),
    )


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None


def recovery_markdown(found: Recovery) -> str:
    """One table per judge."""
    lines = [f"# Planted errors: {found.pairs:,} pairs of replica reports, seed {found.seed}"]
    for judge in dict.fromkeys(item.judge for item in found.cells):
        lines += [
            "",
            f"## {judge}",
            "",
            "| kind | tier | planted | no counts | recovered | alone | false alarms | spill |",
            "|---|---|---:|---:|---:|---:|---:|---:|",
        ]
        lines += [
            f"| {item.kind.replace('_', ' ')} | {item.tier} | {item.planted:,} | {item.failed:,} "
            f"| {_percent(item.recovered)} | {_percent(item.alone)} | "
            f"{_percent(item.false_alarms)} | {_percent(item.spill)} |"
            for item in found.cells
            if item.judge == judge
        ]
    return "\n".join(lines) + "\n"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
