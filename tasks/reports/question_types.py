"""Of which type a question about a film is, by its own words.

The six types are MedXChat's and those it was scored on (medxchat 1.6): presence, location, size,
severity, type, and the view. A question may pass for several: ``Is the effusion on the left?`` asks
for a presence and for a location.
"""

from __future__ import annotations

import re
from typing import Final

from sources.record import View
from tasks.reports.statements import Words

TYPES: Final = ("presence", "location", "size", "severity", "type", "view")
_CLOSED: Final = re.compile(
    r"^\W*(?:is|are|was|were|does|do|did|can|could|has|have|would)\b(?!.*\bor\b.*\bwhich\b)"
)
_OPENERS: Final = (
    ("location", r"\bwhere\b|\b(?:which|what) (?:\w+ )?(?:sides?|lobes?|lungs?|zones?|part|region"
                 r"|area|hemithorax)\b|\blocat\w+|\bposition of\b|\bwhere\w*"),
    ("severity", r"\bhow (?:severe|mild|marked|advanced|pronounced|extensive|serious|bad|much"
                 r" (?:is )?the heart)\w*|\bseverity|\bdegree\b|\bgrade\b|\bextent\b"),
    ("size", r"\bhow (?:large|big|small|wide|long)\b|\b(?:what|which) size\b|\bsize of\b"
             r"|\bhow much (?:fluid|air)\b|\bdimensions?\b|\bmeasure\w*|\bdiameter\b"),
    ("type", r"\b(?:what|which) (?:types?|kinds?|sorts?|forms?|patterns?)\b|\btype of\b|\bkind of\b"
             r"|\b(?:what|which) (?:\w+ )?devices?\b|\bhow (?:would|can|do) you (?:describe"
             r"|characteri[sz]e)\b|\blooks? like\b|\bmorphology\b|\bcharacter\b|\bappearance\b"),
    ("presence", r"\b(?:what|which)\b.*\b(?:findings?|abnormalit\w+|seen|shown|visible|present"
                 r"|show|shows|see|diagnos\w+|devices?)\b"),
)  # fmt: skip
_VIEW: Final = re.compile(
    r"\b(?:which|what) (?:kind of |type of )?(?:\w+ )?(?:view|projection)\b"
    r"|\b(?:is|was) (?:this|it|the (?:film|image|view|radiograph|x-?ray)) "
    r"(?:\w+ ){0,3}?(?:frontal|lateral|pa|ap|postero\w+|antero\w+)\b"
    r"|\bfrom which (?:side|direction)\b|\bprojection\b"
)
_VIEWS: Final = (
    (View.LATERAL, r"\blateral\b"),
    (View.PA, r"\bpa\b|\bpostero-?anterior\b"),
    (View.AP, r"\bap\b|\bantero-?posterior\b"),
)
_FILM: Final = re.compile(
    r"\b(pa|ap|lateral|frontal|postero-?anterior|antero-?posterior)(?= (?:chest|view|film|x-?ray"
    r"|radiograph|projection|image|picture|one)\w*)",
    re.IGNORECASE,
)
"""Not the lateral part of a lung."""
_FRONTAL: Final = re.compile(r"\bfrontal\b")


def is_closed(question: str) -> bool:
    """Whether a question asks for yes or no; one that offers a choice (``… or …``) does too, as
    its finding is there or not."""
    return _CLOSED.search(question.lower()) is not None


def types_of(question: str, words: Words, *, names_finding: bool) -> frozenset[str]:
    """The types that a question passes for; empty where its words tell none.

    Args:
        words: of place and degree in the question.
        names_finding: whether it speaks of an observation.
    """
    lowered = question.lower()
    if not names_finding and _VIEW.search(lowered):
        return frozenset({"view"})
    if is_closed(question):
        asked = {
            "location": words.sides | words.regions,
            "size": words.sizes,
            "severity": words.severities,
            "type": words.kinds,
        }
        return frozenset({"presence", *(name for name, found in asked.items() if found)})
    found = [name for name, pattern in _OPENERS if re.search(pattern, lowered)]
    if found[:1] == ["type"] and "device" in lowered:
        return frozenset({"type", "presence"})
    return frozenset(found[:1])


def views_in(text: str) -> frozenset[View]:
    """The views that a text names; ``frontal`` alone is both frontal ones."""
    lowered = text.lower()
    named = frozenset(view for view, pattern in _VIEWS if re.search(pattern, lowered))
    if not named & {View.PA, View.AP} and _FRONTAL.search(lowered):
        named |= {View.PA, View.AP}
    return named


def films_in(request: str) -> frozenset[View]:
    """The views of the films that a text speaks of."""
    return views_in(" ".join(_FILM.findall(request)))
