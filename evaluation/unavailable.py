"""Metrics without a number, told together where one thing is missing for several."""

from __future__ import annotations

from collections.abc import Mapping


def by_reason(unavailable: Mapping[str, str]) -> list[tuple[str, str]]:
    """(which metrics, why), a line for each reason in the order in which reasons first come."""
    names: dict[str, list[str]] = {}
    for metric, reason in unavailable.items():
        names.setdefault(reason, []).append(metric)
    return [(_told(metrics), reason) for reason, metrics in names.items()]


def _told(metrics: list[str]) -> str:
    first, *others = metrics
    if len(others) > 1:
        return f"{first} and {len(others)} more"
    return " and ".join(metrics)
