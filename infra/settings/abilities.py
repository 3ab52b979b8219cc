"""What a recipe's models are asked to do: ``[sets.*]`` of examples and ``[abilities.*]``.

A preset writes what its sets share under ``[examples]``, and what its abilities share under
``[generate]`` and ``[registry]``; a recipe that has one of each need not name it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from infra.settings.film_ability import FilmAbilitySettings
from infra.settings.sections import NAME, ExampleSettings, GenerateSettings, Section

MODEL_NAME = r"^[A-Za-z0-9_.-]+$"
"""What MLflow and its filters allow."""


SHARED = ("examples", "generate", "registry")
"""Tables of a preset that ``spread`` takes apart."""


AbilityKind = Literal["report", "vqa", "draw"]
"""What is scored: a text against a reference, answers to questions, or films against prompts."""
READS_REPORTS: Final = ("report", "draw")
"""Kinds that are asked by a set of reports: to write them, or to draw from them."""

KIND_VALUES: Final[Mapping[str, Mapping[str, Any]]] = {
    "vqa": {"generate": {"max_new_tokens": 48, "beams": 1}},
    "draw": {"draw": {}},
}
"""What a kind sets over the shared tables; an ability's own values win. Answers are greedy and
short: the longest of VQA-RAD's about chests has 14 words, and 48 tokens hold them in any tokenizer
(our choice)."""


class AbilitySettings(Section):
    """One thing that a stage's model can do, how it is asked, and where the model is registered.

    ``kind`` says how it is scored, ``examples`` names the set whose test split it is scored on.
    Abilities of one stage are one registered model. ``generate`` is how text is asked for, ``draw``
    how films are: an ability of that kind has it, and no other.
    """

    kind: AbilityKind = "report"
    stage: str = Field(pattern=NAME)
    examples: str = Field(pattern=NAME)
    generate: GenerateSettings
    model_name: str = Field(pattern=MODEL_NAME)
    draw: FilmAbilitySettings | None = None

    @model_validator(mode="after")
    def _a_table_for_its_kind(self) -> AbilitySettings:
        if (self.draw is not None) != (self.kind == "draw"):
            raise ValueError(f"an ability of kind {self.kind} and a table draw do not go together")
        return self

    @property
    def films(self) -> FilmAbilitySettings:
        """How films are asked for, of an ability that draws."""
        assert self.draw is not None, "an ability of kind draw has its table"
        return self.draw


def section_pair(
    sets: Mapping[str, ExampleSettings], abilities: Mapping[str, AbilitySettings]
) -> tuple[str, str] | None:
    """The first ability that writes findings and the first that writes impressions, if both are
    there."""
    first: dict[str, str] = {}
    for name, one in abilities.items():
        first.setdefault(sets[one.examples].task, name)
    if "findings" in first and "impression" in first:
        return first["findings"], first["impression"]
    return None


def named(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A preset whose only set and only ability, if it names none, bear the recipe's name."""
    name = tree["recipe"]
    return {"sets": {name: {}}, "abilities": {name: {}}, **tree}


def without_null(named_tables: Any) -> Any:
    """Sets or abilities without those that an override left out by ``null``; what is no table of
    them is left for the recipe's model to refuse."""
    if not isinstance(named_tables, Mapping):
        return named_tables
    return {name: own for name, own in named_tables.items() if own is not None}


def _with_base(own: Any, sets: Mapping[str, Any]) -> Any:
    """A drawn set's table over that of the set which it is drawn of; others as they are.

    Tables that are none are left for the recipe's model to refuse.
    """
    drawn = own.get("drawn") if isinstance(own, Mapping) else None
    base = sets.get(str(drawn.get("of"))) if isinstance(drawn, Mapping) else None
    return {**base, **own} if isinstance(base, Mapping) else own


def spread(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tables without those that are shared: each set and ability has its own values over them.

    Sets and abilities that are no tables are left as they are, for the recipe's model to refuse.
    """
    rest = {key: value for key, value in tree.items() if key not in SHARED}
    sets, abilities = tree.get("sets"), tree.get("abilities")
    if isinstance(sets, Mapping):
        common = tree.get("examples", {})
        rest["sets"] = {name: merge(common, _with_base(own, sets)) for name, own in sets.items()}
    if isinstance(abilities, Mapping):
        common = {"generate": tree.get("generate", {}), **_defaults(tree)}
        rest["abilities"] = {
            name: merge(merge(common, _of_kind(own)), own) for name, own in abilities.items()
        }
    return rest


def _of_kind(own: Any) -> Mapping[str, Any]:
    """What the kind of an ability sets; nothing for one that the recipe's model will refuse."""
    kind = own.get("kind") if isinstance(own, Mapping) else None
    return KIND_VALUES.get(kind, {}) if isinstance(kind, str) else {}


def _defaults(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The last stage, the first set, the recipe's name in the registry."""
    found: dict[str, Any] = {}
    stages, sets = tree.get("stages"), tree.get("sets")
    found |= tree.get("registry", {})
    if isinstance(stages, list) and stages and isinstance(stages[-1], Mapping):
        found["stage"] = stages[-1].get("name")
    if isinstance(sets, Mapping) and sets:
        found["examples"] = next(iter(sets))
    return found


def merge(base: Any, over: Any) -> Any:
    """Deep merge of tables; a value, list or array of tables in ``over`` replaces the base's."""
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return over
    merged = dict(base)
    for key, value in over.items():
        merged[key] = merge(merged[key], value) if key in merged else value
    return merged
