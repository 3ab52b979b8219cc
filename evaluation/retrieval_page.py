"""The page about retrieval: ``retrieval.html``, one file that fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.interval_text import interval_text
from evaluation.templating import render_page
from evaluation.zero_shot import LEAST_SUPPORT

Row = Mapping[str, Any]


def render_retrieval(document: Row) -> str:
    """The page as HTML, from what ``retrieval.json`` holds."""
    return render_page(
        "retrieval.html.j2",
        page=document,
        groups=groups(document),
        observations=observations(document),
        mean=interval_text(document["zero_shot"].get("mean")),
        least_support=LEAST_SUPPORT,
        signatures=[row["signature"] for row in document["scores"]],
    )


def groups(document: Row) -> list[dict[str, Any]]:
    """One table row for each encoder, direction and policy, with all its metrics."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in document["scores"]:
        key = (row["encoder"], row["direction"], row["policy"])
        group = found.setdefault(
            key,
            {
                "encoder": row["encoder"],
                "direction": row["direction"],
                "policy": row["policy"],
                "queries": row["queries"],
                "candidates": row["candidates"],
                "recalls": [],
                "ranks": {},
            },
        )
        if row["chance"] is None:
            group["ranks"][row["metric"]] = interval_text(
                row["interval"], row["signature"]["scale"]
            )
        else:
            group["recalls"].append(_recall(row))
    return list(found.values())


def _recall(row: Row) -> dict[str, Any]:
    value, chance, blind = row["interval"]["value"], row["chance"], row["blind"]
    return {
        "metric": row["metric"],
        "text": interval_text(row["interval"], row["signature"]["scale"]),
        "width": f"{100 * value:.1f}",
        "chance": f"{chance:.3f}",
        "chance_at": f"{100 * chance:.1f}",
        "times": f"{value / chance:.1f}",
        "blind": f"{blind:.3f}",
        "blind_at": f"{100 * blind:.1f}",
        "ceiling": f"{row['ceiling']:.3f}",
        "above": bool(row["beats_chance"] and row["beats_blind"]),
        "below": row["interval"]["high"] is not None and row["interval"]["high"] < chance,
    }


_SUPPORT = ("positive", "negative", "positive_subjects", "negative_subjects")


def observations(document: Row) -> list[dict[str, Any]]:
    """Zero-shot rows: AUROC with support, those without support last."""
    rows = document["zero_shot"].get("observations", [])
    shown = [
        {
            "name": row["observation"],
            "text": interval_text(row["auroc"]),
            "width": None
            if row["auroc"]["value"] is None
            else f"{100 * row['auroc']['value']:.1f}",
            **{name: row[name] for name in _SUPPORT},
        }
        for row in rows
    ]
    return sorted(shown, key=lambda row: row["width"] is None)
