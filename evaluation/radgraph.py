"""RadGraph F1: how far the entities and relations of two reports agree.

Graphs come from an encoder (``evaluation/neural/radgraph.py``) or from anywhere else; nothing here
needs weights. "RadGraph F1" names four numbers (evaluation_metrics 1.7): sets of entities (simple),
of entities with a flag for having a relation (partial, RG_ER, what LLaVA-Rad prints), of relations
where there are some (complete), and Yu et al.'s mean of entity F1 and relation F1 (RadCliQ's part).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

Level = Literal["simple", "partial", "complete"]
LEVELS: tuple[Level, ...] = ("simple", "partial", "complete")


@dataclass(frozen=True)
class Entity:
    """Words with a label; ``relations`` are (kind, place of the target in the graph)."""

    tokens: str
    label: str
    relations: tuple[tuple[str, int], ...] = ()


Graph = tuple[Entity, ...]


def radgraph_f1(reference: Graph, prediction: Graph, level: Level) -> float:
    """F1 of the two graphs' sets of items; 0 where either graph has no entity, even where both.

    Case counts, but for relations at level ``complete``, as in radgraph's package 0.1.18; its
    repository lowers all words since May 2026 and so gives other numbers.
    """
    if not reference or not prediction:
        return 0.0
    return set_f1(_items(reference, level), _items(prediction, level))


def yu_f1(reference: Graph, prediction: Graph) -> float:
    """Mean of the F1 of entities and of relations, as Yu et al. and ReXrank have it.

    A set that is empty on both sides scores 0, so that an identical pair without relations has 0.5.
    """
    entities = set_f1(_items(reference, "simple"), _items(prediction, "simple"))
    relations = set_f1(_relations(reference), _relations(prediction))
    return (entities + relations) / 2


def set_f1(reference: set[Hashable], prediction: set[Hashable]) -> float:
    """F1 of two sets; 0 where they share nothing."""
    shared = len(reference & prediction)
    return 2 * shared / (len(reference) + len(prediction)) if shared else 0.0


def _items(graph: Graph, level: Level) -> set[Hashable]:
    if level == "simple":
        return {(entity.tokens, entity.label) for entity in graph}
    if level == "partial":
        return {(entity.tokens, entity.label, bool(entity.relations)) for entity in graph}
    alone = {(entity.tokens, entity.label) for entity in graph if not entity.relations}
    return alone | {
        (entity.tokens.lower(), entity.label, kind, graph[target].tokens.lower())
        for entity in graph
        for kind, target in entity.relations
    }


def _relations(graph: Graph) -> set[Hashable]:
    return {
        (entity.tokens, entity.label, kind, graph[target].tokens, graph[target].label)
        for entity in graph
        for kind, target in entity.relations
    }
