"""What came of what: artifacts as nodes, inputs as edges, drawn in columns from left to right.

    raw ─▶ studies ─▶ images, calls ─▶ texts ─▶ shards ─▶ stages ─▶ predictions ─▶ scores ─▶ models

Calls of language models are no artifact of their own; where an artifact's pieces tell of tokens, a
node for its calls stands before it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.pages.library import Kept

COLUMNS: Final[tuple[tuple[str, ...], ...]] = (
    ("replicas",),
    ("studies",),
    ("images", "calls"),
    ("reports", "dialogues"),
    ("examples", "drawings"),
    ("stages", "classifiers", "test_sets", "teachers"),
    ("predictions",),
    ("scores", "retrieval", "grounding", "consistency", "coherence"),
    ("models", "ablations", "comparisons", "watches"),
)
"""Kinds from left to right; ``calls`` are those of language models."""
TITLES: Final = (
    *("Raw data", "Studies", "Pixels and calls", "Texts", "Shards"),
    *("Stages", "Predictions", "Readings", "Models"),
)
_WIDTH, _HEIGHT, _ACROSS, _DOWN, _TOP = 168, 44, 46, 14, 34  # px of a node and between; our choice
_COLUMN: Final = {kind: place for place, kinds in enumerate(COLUMNS) for kind in kinds}
_LONGEST: Final = 21  # letters that fit a node


@dataclass(frozen=True)
class Node:
    """One box; ``address`` is the folder whose page it leads to."""

    key: str
    kind: str
    title: str
    note: str
    address: str
    x: int
    y: int
    is_chosen: bool


@dataclass(frozen=True)
class Edge:
    """A line between two boxes, as an SVG path; ``is_near`` where it touches the chosen one."""

    path: str
    is_near: bool


@dataclass(frozen=True)
class Drawing:
    """All that the page draws."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    heads: tuple[tuple[int, str], ...]
    width: int
    height: int
    node_width: int = _WIDTH
    node_height: int = _HEIGHT


def before(held: Mapping[str, Kept], folder: str) -> list[str]:
    """Folders that an artifact was made from, near ones first, as far as they are here."""
    return _reach(folder, lambda one: held[one].input_folders if one in held else (), held)


def after(held: Mapping[str, Kept], folder: str) -> list[str]:
    """Folders that were made from it, near ones first."""
    made: dict[str, list[str]] = {}
    for kept in held.values():
        for one in kept.input_folders:
            made.setdefault(one, []).append(kept.folder)
    return _reach(folder, lambda one: made.get(one, ()), held)


def _reach(begin: str, step: Callable[[str], Iterable[str]], held: Mapping[str, Kept]) -> list[str]:
    waiting, found = [begin], dict[str, None]()
    while waiting:
        for one in step(waiting.pop(0)):
            if one in held and one not in found and one != begin:
                found[one] = None
                waiting.append(one)
    return list(found)


def draw(held: Mapping[str, Kept], shown: Collection[str], chosen: str = "") -> Drawing:
    """The shown artifacts with their edges."""
    columns: list[list[tuple[str, Kept]]] = [[] for _ in COLUMNS]
    for folder in sorted(shown):
        kept = held[folder]
        columns[_COLUMN[kept.kind]].append((folder, kept))
        if kept.paid("input_tokens") and kept.kind in ("reports", "dialogues"):
            columns[_COLUMN["calls"]].append((f"calls {folder}", kept))
    used = [place for place, column in enumerate(columns) if column]
    nodes: dict[str, Node] = {}
    for across, place in enumerate(used):
        for down, (key, kept) in enumerate(sorted(columns[place], key=_order)):
            x, y = across * (_WIDTH + _ACROSS), _TOP + down * (_HEIGHT + _DOWN)
            nodes[key] = _node(key, kept, x, y, chosen)
    tallest = max((len(columns[place]) for place in used), default=0)
    heads = tuple((across * (_WIDTH + _ACROSS), TITLES[place]) for across, place in enumerate(used))
    return Drawing(
        tuple(nodes.values()),
        tuple(_edges(held, nodes, chosen)),
        heads,
        max(1, len(used)) * (_WIDTH + _ACROSS),
        _TOP + tallest * (_HEIGHT + _DOWN),
    )


def _order(item: tuple[str, Kept]) -> tuple[int, str, str]:
    key, kept = item
    kind = "calls" if key.startswith("calls ") else kept.kind
    named = kept.created_at if kind == "stages" else kept.name  # a stage is made after its inputs
    return COLUMNS[_COLUMN[kind]].index(kind), named, kept.created_at


def _node(key: str, kept: Kept, x: int, y: int, chosen: str) -> Node:
    if key.startswith("calls "):
        tokens, cost = kept.paid("input_tokens") + kept.paid("output_tokens"), kept.paid("cost_usd")
        note = f"{_short_number(tokens)} tokens · ${cost:,.2f}"
        return Node(key, "calls", f"calls for {kept.kind}", note, kept.folder, x, y, False)
    counted = kept.artifact.counts
    rows = f"{_short_number(counted[0].kept)} {counted[0].unit}" if counted else kept.short
    is_chosen = kept.folder == chosen
    note = _cut(f"{kept.kind} · {rows}", _LONGEST + 5)
    return Node(key, kept.kind, _cut(kept.name, _LONGEST), note, kept.folder, x, y, is_chosen)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _edges(held: Mapping[str, Kept], nodes: Mapping[str, Node], chosen: str) -> Iterable[Edge]:
    for folder, node in nodes.items():
        if node.kind == "calls":
            yield _edge(node, nodes[node.address], chosen)
            continue
        calls = nodes.get(f"calls {folder}")
        for one in held[folder].input_folders:
            if one in nodes:
                is_text = calls is not None and one.startswith("studies/")
                yield _edge(nodes[one], calls if calls is not None and is_text else node, chosen)


def _edge(one: Node, other: Node, chosen: str) -> Edge:
    x, y = one.x + _WIDTH, one.y + _HEIGHT // 2
    to_x, to_y = other.x, other.y + _HEIGHT // 2
    bend = max(_ACROSS, (to_x - x) // 2)
    if to_x <= one.x:  # the same column: out at the right and in again there
        to_x = other.x + _WIDTH
        path = f"M{x} {y}C{x + _ACROSS} {y} {to_x + _ACROSS} {to_y} {to_x} {to_y}"
    else:
        path = f"M{x} {y}C{x + bend} {y} {to_x - bend} {to_y} {to_x} {to_y}"
    return Edge(path, bool(chosen) and chosen in (one.address, other.address))


def _short_number(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f} {letter}"
    return f"{value:.0f}"


def ends(held: Mapping[str, Kept]) -> Sequence[Kept]:
    """Artifacts that nothing was made from, models first, newest first: where one begins to ask."""
    used = {one for kept in held.values() for one in kept.input_folders}
    last = [kept for folder, kept in held.items() if folder not in used]
    newest = sorted(last, key=lambda kept: kept.created_at, reverse=True)
    return sorted(newest, key=lambda kept: -_COLUMN[kept.kind])
