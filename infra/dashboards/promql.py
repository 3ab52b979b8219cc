"""Pieces of PromQL that several panels share."""

from __future__ import annotations


def grown(selector: str, span: str) -> str:
    """What counters grew by, in parentheses for an aggregation before it."""
    return f"(increase({selector}[{span}]))"


def share(part: str, whole: str, by: str) -> str:
    """One sum over another, by labels; both come in parentheses."""
    return f"sum by ({by}) {part} / sum by ({by}) {whole}"


def quantile(histogram: str, chosen: str, span: str, by: str, rank: float) -> str:
    """A quantile of what a histogram has counted within a span."""
    buckets = grown(f"{histogram}_bucket{{{chosen}}}", span)
    return f"histogram_quantile({rank}, sum by (le, {by}) {buckets})"


def newest(selector: str, by: str) -> str:
    """A gauge without its name and without the labels of who was asked, as tables need it."""
    return f"max by ({by}) ({selector})"


def ago(selector: str, by: str) -> str:
    """Seconds since a time that a gauge tells."""
    return f"time() - {newest(selector, by)}"
