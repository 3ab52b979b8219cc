"""Retrieval and zero-shot for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.interval_text import interval_text, plain

_SHOWN = ("R@5", "median rank")


def retrieval_text(document: Mapping[str, Any]) -> str:
    """R@5 and median rank of every encoder, both ways, each text standing in the pool once."""
    lines = [
        _line(row)
        for row in document["scores"]
        if row["policy"] == "distinct texts" and row["metric"] in _SHOWN
    ]
    mean = document["zero_shot"].get("mean")
    if mean is not None and mean["value"] is not None:
        lines.append(f"zero-shot AUROC, mean over observations: {plain(interval_text(mean))}")
    lines += [f"unavailable: {what}: {why}" for what, why in document["unavailable"].items()]
    return "\n".join(lines)


def _line(row: Mapping[str, Any]) -> str:
    what = f"{row['encoder']}, {row['direction']}, {row['metric']}"
    found = plain(interval_text(row["interval"], row["signature"]["scale"]))
    text = f"{what:44} {found} of {row['candidates']:,}"
    if row["chance"] is None:
        return text
    times = row["interval"]["value"] / row["chance"]
    beside = f"chance {row['chance']:.4f}, {times:.1f} times; blind {row['blind']:.3f}"
    return f"{text}, {beside}: {_verdict(row)}"


def _verdict(row: Mapping[str, Any]) -> str:
    """Beside a random order and beside the best one that is the same for every query."""
    if row["interval"]["high"] is not None and row["interval"]["high"] < row["chance"]:
        return "BELOW CHANCE"
    if not row["beats_chance"]:
        return "NOT ABOVE CHANCE"
    return "above both" if row["beats_blind"] else "above chance, NOT ABOVE A BLIND ORDER"
