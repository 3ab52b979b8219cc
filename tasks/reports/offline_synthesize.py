"""Facts → findings and impression, by rules: the offline stand-in for a language model.

Each fact becomes one statement; the wording varies by the request's own hash, so the same facts
always read the same. Negative facts are gathered into one or two sentences, as radiologists do.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

from tasks.reports.concepts import Concept, find_concept

Fact = dict[str, Any]

PRESENT_ONE = ("There is {}.", "{} is present.", "{} is seen.", "{}.")
PRESENT_MANY = ("There are {}.", "{} are present.", "{} are seen.", "{}.")
POSSIBLE = ("Possible {}.", "Findings may represent {}.", "Questionable {}.", "Suspected {}.")
NORMAL_FINDINGS = (
    "The lungs are clear. The heart size is normal. No pleural effusion or pneumothorax.",
    "Clear lungs. The cardiac silhouette is normal. There is no pleural effusion or pneumothorax.",
    "No focal consolidation, pleural effusion or pneumothorax. The heart size is normal.",
    "The lungs are well expanded and clear. No effusion or pneumothorax. The heart is normal.",
)
TOLD_BY_NORMAL = frozenset(
    {"Lung Opacity", "Consolidation", "Cardiomegaly", "Pleural Effusion", "Pneumothorax"}
    | {"Atelectasis", "Edema", "Pneumonia", "Lung Lesion"}
)
"""What clear lungs and a normal heart already deny."""
NORMAL_IMPRESSION = ("No acute cardiopulmonary abnormality.", "No acute abnormality.")
ORDER = ("lung", "side", "none", "object")
"""Lungs, then pleura and bones, then heart, mediastinum and devices, then what does not belong."""

_PLURAL = re.compile(
    r"\b(?:opacities|nodules|metastases|plaques|wires|devices|tubes|lines|infiltrates|signs"
    r"|changes|clips|bullae|nodes|bronchograms|masses|lesions|cavities|fractures|objects|granulomas"
    r"|cysts|effusions|implants)\b"
)
_NAMES_SIDE = re.compile(r"\b(?:left|right|bilateral)\b")
_ARTICLE = re.compile(r"^(?:an?|the) ")
_ON_ONE_SIDE = frozenset({"upper lobe", "middle lobe", "lower lobe", "lingula"})


def synthesize(payload: dict[str, Any], random: Random) -> dict[str, str | None]:
    """The answer to a synthesis question."""
    facts: list[Fact] = payload["facts"]
    normal = any(_is_normal(fact) for fact in facts)
    rest = [fact for fact in facts if not _is_normal(fact)]
    present = sorted((fact for fact in rest if fact["value"] != "negative"), key=_rank)
    denied = [fact for fact in rest if fact["value"] == "negative"]
    statements = [_state(fact, random) for fact in present]
    if normal and not present:
        statements.insert(0, random.choice(NORMAL_FINDINGS))
        denied = [fact for fact in denied if _observation(fact) not in TOLD_BY_NORMAL]
    statements += _deny(denied, random)
    return {
        "findings": " ".join(statements),
        "impression": _impression(present, denied, normal, random),
    }


def _is_normal(fact: Fact) -> bool:
    return _observation(fact) == "No Finding"


def _observation(fact: Fact) -> str | None:
    concept = find_concept(fact["name"])
    return concept.observation if concept else None


def _rank(fact: Fact) -> int:
    concept = find_concept(fact["name"])
    return ORDER.index(concept.placed) if concept else len(ORDER)


def _state(fact: Fact, random: Random) -> str:
    phrase = _phrase(fact, random)
    if fact["value"] == "uncertain":
        return random.choice(POSSIBLE).format(_ARTICLE.sub("", phrase))
    head = phrase.partition(" in the ")[0].partition(" of ")[0]
    forms = PRESENT_MANY if _PLURAL.search(head) else PRESENT_ONE
    form = random.choice(forms)
    return _sentence(form.format(_ARTICLE.sub("", phrase) if form == "{}." else phrase))


def _phrase(fact: Fact, random: Random) -> str:
    """The noun phrase of a fact, with its place: ``a nodule in the left upper lobe``."""
    concept = find_concept(fact["name"])
    if concept is None:
        name = str(fact["name"]).replace("_", " ").lower()
        return name if _NAMES_SIDE.search(name) else f"{_side(fact)} {name}".strip()
    noun = random.choice(concept.nouns)
    if fact.get("count", 1) > 1:
        noun = f"+{_number(fact['count'])} {_many(noun)}"
    article, noun = ("", noun[1:]) if noun.startswith("+") else _split_article(noun)
    side, region = _side(fact), fact.get("place")
    if concept.placed == "none":
        return f"{article}{noun}"
    if concept.placed == "lung" and region:
        return f"{article}{noun}{_in_region(side, region)}"
    if concept.placed == "object":
        return f"{article}{noun}{_over(side, region)}"
    if not side:
        return f"{article}{noun}"
    if fact.get("count", 1) > 1:
        number, _, noun = noun.partition(" ")
        return f"{number} {side} {noun}"
    if side == "bilateral":
        return f"bilateral {_many(noun) if noun in TWO_SIDED else noun}"
    return f"{'a ' if article else ''}{side} {noun}"


NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
TWO_SIDED = frozenset({"pleural effusion", "rib fracture", "chest tube", "breast implant"})
"""Findings that stand in the plural where both sides have one."""


def _number(count: int) -> str:
    return NUMBERS[count - 2] if count < len(NUMBERS) + 2 else str(count)


def _many(noun: str) -> str:
    """The plural of a noun of the table, both of two that ``or`` joins."""
    words = _ARTICLE.sub("", noun.removeprefix("+")).split(" or ")
    return " or ".join(
        f"{word[:-1]}ies"
        if word.endswith(("ty", "dy"))
        else f"{word}es"
        if word.endswith("s")
        else f"{word}s"
        for word in words
    )


def _split_article(noun: str) -> tuple[str, str]:
    found = _ARTICLE.match(noun)
    return (found.group(), noun[found.end() :]) if found else ("", noun)


def _side(fact: Fact) -> str:
    sides = fact.get("sides") or []
    return "bilateral" if len(sides) > 1 else sides[0] if sides else ""


def _in_region(side: str, region: str) -> str:
    if region == "base":
        return (
            " at both lung bases"
            if side == "bilateral"
            else f" at the {side} lung base".replace("  ", " ")
        )
    if region == "apex":
        return (
            " at both lung apices"
            if side == "bilateral"
            else f" at the {side} lung apex".replace("  ", " ")
        )
    place = "lower lung" if region == "costophrenic angle" else region
    place = place.replace(" zone", " lung zone")
    if side == "bilateral":
        return f" in both {place}s"
    return f" in the {side} {place}".replace("  ", " ")


def _over(side: str, region: str | None) -> str:
    if not side and not region:
        return ""
    height = {"upper zone": "upper ", "middle zone": "mid ", "lower zone": "lower "}.get(
        region or "", ""
    )
    if side == "bilateral":
        return f" projecting over both sides of the {height}chest"
    return f" projecting over the {height}{side} chest".replace("  ", " ")


def _deny(denied: list[Fact], random: Random) -> list[str]:
    """Absent findings: those with an own phrase alone, the others in a list for each region."""
    own: list[str] = []
    listed: dict[str, list[str]] = {}
    for fact in sorted(denied, key=_rank):
        concept = find_concept(fact["name"])
        if concept is not None and concept.absent:
            own.append(f"{random.choice(concept.absent)}.")
        else:
            region = concept.placed if concept else ""
            listed.setdefault(region, []).append(_bare_noun(fact, concept))
    openings = ("No {}.", "There is no {}.", "No evidence of {}.")
    return [random.choice(openings).format(_or_list(nouns)) for nouns in listed.values()] + own


def _bare_noun(fact: Fact, concept: Concept | None) -> str:
    if concept is None:
        return str(fact["name"]).replace("_", " ").lower()
    return _ARTICLE.sub("", concept.nouns[0].removeprefix("+"))


def _or_list(nouns: list[str]) -> str:
    return nouns[0] if len(nouns) == 1 else f"{', '.join(nouns[:-1])} or {nouns[-1]}"


def _impression(
    present: list[Fact], denied: list[Fact], normal: bool, random: Random
) -> str | None:
    if present:
        return " ".join(_sum_up(fact, random) for fact in present)
    if normal:
        return random.choice(NORMAL_IMPRESSION)
    listed = [_bare_noun(fact, find_concept(fact["name"])) for fact in denied]
    return f"No {_or_list(listed)}." if listed else None


def _sum_up(fact: Fact, random: Random) -> str:
    phrase = _ARTICLE.sub("", _phrase(fact, random))
    return _sentence(f"possible {phrase}." if fact["value"] == "uncertain" else f"{phrase}.")


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
