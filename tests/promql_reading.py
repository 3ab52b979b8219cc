"""What a PromQL expression asks for: its selectors, and the labels that it groups or joins by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
    | (?P<grouping>\b(?:by|without|on|ignoring|group_left|group_right)\s*\((?P<labels>[^)]*)\))
    | (?P<function>[a-zA-Z_]\w*(?=\s*\(|\s+(?:by|without)\b))
    | (?P<word>\b(?:and|or|unless|offset|bool|by|without)\b)
    | (?P<metric>[a-zA-Z_:][\w:]*(?P<matchers>\{[^}]*\})?(?P<span>\[[^\]]*\])?)
    | (?P<number>\d[\d.]*(?:e\d+)?[smhdwy]?)
    | (?P<sign>==|!=|<=|>=|[-+*/%^<>(),])
    """,
    re.VERBOSE,
)
_MATCHER = re.compile(r'\s*(?P<label>\w+)\s*(?P<how>=~|!~|!=|=)\s*"(?P<value>[^"]*)"\s*(?:,|$)')
KNOWN_FUNCTIONS = frozenset(
    {"sum", "min", "max", "count", "topk", "sort_desc", "increase", "rate", "time", "vector",
     "absent", "histogram_quantile"}
)  # fmt: skip
_SPECIAL = {"on", "ignoring", "by", "without"}


class Selector(NamedTuple):
    """A metric's name with its matchers: label, how, value."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    def fits(self, labels: dict[str, str]) -> bool:
        """Whether a series with these labels is chosen."""
        return all(_holds(how, value, labels.get(name, "")) for name, how, value in self.matchers)


class Asked(NamedTuple):
    """All that an expression names."""

    selectors: tuple[Selector, ...]
    labels: frozenset[str]
    functions: frozenset[str]


def _holds(how: str, value: str, found: str) -> bool:
    if how in ("=", "!="):
        return (value == found) is (how == "=")
    return (re.fullmatch(value, found) is not None) is (how == "=~")


def read_query(expression: str) -> Asked:
    """Take an expression apart; ValueError where it is no PromQL that this house writes."""
    selectors: list[Selector] = []
    labels: set[str] = set()
    functions: set[str] = set()
    at = 0
    while at < len(expression):
        token = _TOKEN.match(expression, at)
        if token is None:
            raise ValueError(f"no PromQL at {expression[at : at + 30]!r} of {expression}")
        at = token.end()
        if token["grouping"]:
            labels |= {label.strip() for label in token["labels"].split(",") if label.strip()}
        elif token["function"] and token["function"] not in _SPECIAL:
            functions.add(token["function"])
        elif token["metric"]:
            name = re.split(r"[{\[]", token["metric"])[0]
            selectors.append(Selector(name, tuple(_matchers(token["matchers"] or "{}"))))
    if expression.count("(") != expression.count(")"):
        raise ValueError(f"parentheses of {expression}")
    if functions - KNOWN_FUNCTIONS:
        raise ValueError(f"functions {functions - KNOWN_FUNCTIONS} of {expression}")
    return Asked(tuple(selectors), frozenset(labels), frozenset(functions))


def _matchers(text: str) -> Iterator[tuple[str, str, str]]:
    inside, at = text[1:-1], 0
    while at < len(inside):
        found = _MATCHER.match(inside, at)
        if found is None:
            raise ValueError(f"no matcher at {inside[at:]!r}")
        at = found.end()
        yield found["label"], found["how"], found["value"]


def filled_in(expression: str, interval: str = "5m") -> str:
    """With Grafana's variables as a reader has them who chooses everything."""
    one = re.sub(r'="\$\w+"', '=~".*"', expression)
    spans = one.replace("$__interval", interval).replace("$__rate_interval", interval)
    return re.sub(r"\$\w+", ".*", spans)
