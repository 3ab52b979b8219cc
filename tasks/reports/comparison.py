"""Words that speak of an earlier examination or of change over time.

A list of phrases, not of single words: ``increased interstitial markings``, ``degenerative
changes`` and ``prior sternotomy`` describe the present image.
"""

from __future__ import annotations

import re

STATES = (
    r"markings?|density|densities|lucency|lucencies|attenuation|volumes?|diameter|kyphosis"
    r"|interstitial|vascularity|retrosternal|opacity|opacification|bronchovascular|size|ap|lung"
    r"|inspiratory|conspicuity|caliber|distension"
)
"""What may be increased, decreased, improved or prominent as a state of one image."""

EARLIER = r"(?:prior|previous|earlier|preceding|last|recent|comparison|old|outside)"
STUDY = (
    r"(?:stud(?:y|ies)|exam(?:ination)?s?|films?|radiographs?|x-?rays?|images?|imaging|ct|cxr"
    r"|chest|reports?|scans?|dated|from)"
)
_PATTERNS = (
    r"\bcompar(?:ed|ison|able|ing)\b(?! (?:views? )?to the (?:left|right))",
    rf"\b{EARLIER} (?:\w+ )?{STUDY}\b",
    r"\b(?:since|than) (?:the )?(?:prior|previous|last|before|yesterday)\b",
    r"\b(?:from|to) (?:the )?(?:priors?|previous)(?=[.,;]|$)",
    r"\bsince \w+",
    r"\bunchanged\b",
    r"\b(?:no|without|any|significant|interval|little) (?:\w+ )?change\b(?! of)",
    r"\bchanged\b",
    r"\binterval(?:ly)?\b",
    r"\bagain\b",
    r"\b(?:stable|stably|stability)\b",
    r"\bnew(?:ly)?\b",
    r"\bpersist(?:s|ent|ently|ing)?\b",
    r"\bworse(?:n(?:ed|ing)?)?\b",
    r"\bimprov(?:ed|ing|ement)\b",
    r"\bresol(?:ved|ving|ution)\b",
    r"\bprogress(?:ed|ion|ive|ively|ing)\b",
    r"\b(?:has|have) (?:\w+ )?(?:increased|decreased|enlarged|cleared|developed|appeared)\b",
    r"(?<!volumes )(?<!volumes are )(?<!markings are )(?<!density is )"
    rf"\b(?:increas(?:ed|ing)|decreas(?:ed|ing))\b(?! (?:in )?(?:\w+ )?(?:{STATES}))",
    r"\bcontinued\b|\b(?:as|than|from) before\b",
    r"\bno longer\b|\bpreviously\b|\bformerly\b|\bin the meantime\b",
    rf"\b(?:increase|decrease|reduction) (?:in|of)\b(?! (?:the )?(?:\w+ )?(?:{STATES}))",
    r"\bconstant\b|\b(?:has|have) been (?:removed|withdrawn|extubated)\b",
    r"\b(?:slightly|minimally|mildly|markedly|now) (?:larger|smaller)\b"
    r"(?!,? (?:on|at|in|than|toward|over) )",
    r"\b(?:more|less) (?:pronounced|conspicuous|extensive)\b(?!,? (?:on|at|in|toward|over) )",
    r"\bremains?\b|\bre-?demonstrat\w+|\breaccumulat\w+",
)
COMPARISON = re.compile("|".join(_PATTERNS), re.IGNORECASE)


def comparison_words(text: str) -> list[str]:
    """Every phrase of comparison in a text, as written."""
    return [match.group() for match in COMPARISON.finditer(text)]
