"""How fast each stage trained, as its trainer measured itself, and whether that met its bar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.artifact import read_artifact
from infra.bars import FIGURES
from tasks.context import Context

Pace = Mapping[str, Any]


def paces(context: Context) -> dict[str, Pace]:
    """What every trained stage's manifest tells of its pace, in the recipe's order."""
    found: dict[str, Pace] = {}
    for stage in context.settings.stages:
        artifact = read_artifact(context.store, context.graph[f"stages/{stage.name}"])
        for piece in artifact.pieces if artifact else ():
            if "throughput" in piece.measured:
                found[stage.name] = piece.measured["throughput"]
    return found


def pace_numbers(pace: Pace) -> dict[str, float]:
    """The figures that were measured, for MLflow."""
    return {name: float(pace[name]) for name in FIGURES if pace.get(name) is not None}


def missed_bars(stage: str, pace: Pace) -> list[str]:
    """One line for each figure that missed its bar."""
    held = pace["bar"]["held"]
    return [f"stage {stage}: {name} {held[name]}" for name in pace["bar"]["missed"]]


def paces_text(found: Mapping[str, Pace]) -> str:
    """A line for each stage, and a warning for each missed bar."""
    lines = [f"pace of {stage:9} {_pace_text(pace)}" for stage, pace in found.items()]
    for stage, pace in found.items():
        lines += [f"WARNING: {line}" for line in missed_bars(stage, pace)]
    return "\n".join(lines)


def _pace_text(pace: Pace) -> str:
    seen = f", {pace['images_per_second']:,.4g} images/s" if pace["images_per_second"] else ""
    mfu = f"MFU unavailable: {pace['mfu_unavailable']}"
    if pace["mfu"] is not None:
        mfu = f"MFU {pace['mfu']:.1%}"
    return (
        f"{pace['useful_tokens_per_second']:,.0f} useful tokens/s{seen}, {mfu}, "
        f"{pace['data_wait_share']:.1%} waiting for data, "
        f"{pace['peak_memory_gib']:.2f} GiB at most ({pace['peak_memory_of']}); "
        f"bar: {pace['bar']['verdict']}"
    )
