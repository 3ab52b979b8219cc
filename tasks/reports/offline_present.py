"""A sentence about change → what it says of the present image, by rules.

``The effusion has resolved`` becomes ``No effusion``, ``unchanged small effusion`` loses a word,
``no interval change`` says nothing and goes, and so does ``the silhouette is stable``: how it is
cannot be told from that.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tasks.reports.comparison import COMPARISON

_Rewrite = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]

_EMPTY = re.compile(
    r"^(?:there (?:is|has been|are) )?(?:(?:no|without|interval|any|significant|appreciable|acute"
    r"|little|essentially|overall|otherwise|the|appearance|findings?|exam(?:ination)?|study|chest"
    r"|is|are|has|have|been|of|in|with|unchanged|stable|changes?|definite|substantial|relevant"
    r"|pulmonary|cardiopulmonary|radiographic|radiograph|as|was|not|previous|prior|seen|since"
    r"|from|compared|comparison|to|made|again|process|status|allowing|for|differences|technique"
    r"|both|lungs?|improvement|improved|aeration|worsening|progression|available)\W*)+$",
    re.IGNORECASE,
)
_ADVICE = re.compile(r"\b(?:recommend\w*|follow-?up|advised|suggest(?:ed)? to)\b", re.IGNORECASE)
_ADVERBS = (
    r"(?:overall |essentially |relatively |grossly |largely |not |now |completely |nearly "
    r"|significantly |slightly |mildly |somewhat |interval(?:ly)? |been |again )*"
)
_CHANGED = (
    r"(?:unchanged|stable|constant|changed|worse|worsened|improved|improving|resolving|worsening"
    r"|increased|increasing|decreased|decreasing|progressed|developed|appeared)"
)
_STATE = r"(?: in (?:size|appearance|position|extent|degree|severity)(?: and \w+)?)?"


def _is_present(match: re.Match[str]) -> str:
    """``is present`` or ``are present``, as the verb that it replaces."""
    return (
        "are present" if match[1].lower() in ("are", "have", "appear", "remain") else "is present"
    )


def _rules(*pairs: tuple[str, str | Callable[[re.Match[str]], str]]) -> tuple[_Rewrite, ...]:
    return tuple((re.compile(pattern, re.IGNORECASE), by) for pattern, by in pairs)


_EARLIER = r"(?:prior|previous|last|earlier|preceding|recent|old)"
_REWRITES = _rules(
    (r"^(?:as |when |in )?compar(?:ed|ison)\b[^,;]*[,;]\s*", ""),
    (r"^since (?:the )?[^,;]*[,;]\s*", ""),
    (r"^in the (?:interval|meantime),?\s*", ""),
    (r"^(?:the )?patient has (?:received|undergone placement of) (?=an? )", "There is "),
    (r"^(?:the )?patient has been extubated[^.;]*", ""),
    (r"^(?:the |an? )?(.+?) (?:has|have) been (?:interval(?:ly)? )?(?:removed|withdrawn)\b",
     r"No \1"),
    (r"\b(has) been (?:interval(?:ly)? )?(?:placed|inserted|replaced|advanced)\b", "is present"),
    (r"\b(have) been (?:interval(?:ly)? )?(?:placed|inserted|replaced|advanced)\b", "are present"),
    (r"^no (?:interval )?development of ", "No "),
    (r"\b(?:(?:slight|mild|moderate|marked|some|minimal) )?(?:interval )?"
     r"(?:increase|decrease|reduction) (?:in|of) (?:(?:the )?(?:size|extent) of )?(?:the )?", ""),
    (r"^(?:once )?again,? (?:seen|noted|demonstrated|identified) (?:is|are)\s+", "There is "),
    (r"^(?:there (?:has been|is) )?(?:interval )?(?:removal|extubation|withdrawal) of .*?"
     r"(?:,| with |$)", ""),
    (r"^(?:there (?:has been|is) )?interval (?:\w+ )?(?:placement|insertion|development"
     r"|appearance|increase in(?: size of)?|decrease in(?: size of)?|enlargement of"
     r"|worsening of|improvement (?:in|of))(?: of)?\s+", "There is "),
    (r"^(?:there (?:has been|is) )?interval (?:resolution|clearing) of (?:the )?", "No "),
    (r"\b(?:(?:slight|mild|moderate|marked|some|minimal) )?(?:interval )?"
     r"(?:worsening|improvement|progression) (?:of|in) (?:the )?", ""),
    (r"^no (?:\w+ )?(?:interval )?change (?:in |of )?(?:the )?"
     r"(?:appearance of (?:the )?)?(?=\w+ \w)",
     "There is "),
    (r"^again,? ", ""),
    (rf",? (?:similar|comparable|unchanged)(?: in appearance)? (?:to|from) (?:the )?{_EARLIER}\b"
     r"[^,;.]*", ""),
    (r",? (?:with )?(?:no|without) (?:(?:\w+ )?(?:interval )?change\b"
     r"|[^,;.]*\bcomparison\b[^,;.]*)",
     ""),
    (r",? with interval (?:improvement|worsening|change)\b[^,;.]*", ""),
    (r",? (?:are |is )?(?:more|less) \w+ (?:versus|than|on) (?:the )?[^,;.]*", ""),
    (r",? (?:as )?(?:seen |noted )?(?:on|in|from|since|to) (?:the |recent )*comparison\b"
     r"[^,;.]*", ""),
    (r",? (?:previously|formerly) (?:at |was )?\d+(?:\.\d+)?(?: ?[cm]m)?\b(?: (?:from|above)"
     r" the [a-z]+)?", ""),
    (r",? as before\b|,? (?:than|from) before\b|,? in the interval\b", ""),
    (r",? (?:as |when )?compar(?:ed|able) (?:to|with)\b[^,;.]*", ""),
    (r",? in comparison (?:to|with)\b[^,;.]*", ""),
    (rf",? (?:since|from|than|versus|relative to) (?:the )?{_EARLIER}\b[^,;.]*", ""),
    (r",? since (?:yesterday|\d|the \w+ (?:study|exam|film)|_+|x{2,})[^,;.]*", ""),
    (rf",? on (?:the )?{_EARLIER} (?:\w+ ){{0,2}}(?:study|exam\w*|films?|radiographs?|ct)\b", ""),
    (r"^(?:the )?(.+?) (?:has|have) (?:completely |now |nearly )?(?:resolved|cleared)\b", r"No \1"),
    (r"^(?:the )?(.+?) (?:is|are) no longer (?:seen|present|visualized|identified)\b", r"No \1"),
    (r",? (?:which|that) (?:is|are|has|have|remains?|appears?)(?: been)? "
     rf"{_ADVERBS}{_CHANGED}{_STATE}", ""),
    (rf",? (?:but|and|yet) (?:is |are |remains? |appears? )?{_ADVERBS}(?:unchanged|stable)\b", ""),
    (r"\b(?:has|have) (?:\w+ly )?enlarged\b", "is present"),
    (r",? in (?:an? )?(?:unchanged|stable|similar) position\b", ""),
    (rf"\b(there (?:is|are)) {_ADVERBS}{_CHANGED} (?=[a-z])", r"\1 "),
    (rf"\b(is|are|appears?|remains?|has|have) {_ADVERBS}{_CHANGED}\b{_STATE}", _is_present),
    (r"\b(?:is|are) (?:again |unchanged and |stable and )(?=\w)", lambda m: m[0].split()[0] + " "),
    (r"\bpersists\b", "is present"),
    (r"\bpersist\b", "are present"),
    (r"\bremains\b", "is"),
    (r"\bremain\b", "are"),
    (r"\bno (?:definite |evidence of )?new (?=\w)", "no "),
    (r"\bre-?demonstrat(?:ion|ed)(?: (?:is|are))?(?: of)?\b", ""),
)  # fmt: skip
_LOOSE_WORD = re.compile(
    r"\b(?:once again|again|unchanged|stabl[ey]|stability|newly|new|interval(?:ly)?|continued"
    r"|persist(?:ent(?:ly)?|ing)|worsen(?:ed|ing)|worse|improv(?:ed|ing)|resolving"
    r"|progressive(?:ly)?|progressing|previously (?:seen|noted|described|identified)|previously"
    r"|no longer|increas(?:ed|ing)|decreas(?:ed|ing))\b,?\s*",
    re.IGNORECASE,
)
_ANATOMY_ONLY = re.compile(
    r"^(?:(?:the|there|is|are|and|cardiac|cardiopulmonary|cardiomediastinal|mediastinal|hilar"
    r"|heart|size|present"
    r"|silhouettes?|contours?|mediastinum|lungs?|vascularity|vasculature|pulmonary|appearance"
    r"|osseous|bony|bones|structures|volumes?|of|chest|findings?|a|an|or|but|with|seen|noted|in"
    r"|position|no|has|have|been|otherwise|this|these|they|it|slightly|from|exam(?:ination)?|overall|vascular|aeration)\W*)*$",
    re.IGNORECASE,
)


def without_comparison(sentence: str) -> str | None:
    """What the sentence says of the present image; None where it says nothing of it."""
    if not COMPARISON.search(sentence):
        return sentence
    text = sentence.strip()
    if _EMPTY.match(text) or _ADVICE.search(text):
        return None
    for pattern, by in _REWRITES:
        text = pattern.sub(by, text)
    while (found := _next_loose(text)) is not None:
        text = text[: found.start()] + text[found.end() :]
    text = _tidy(text)
    return None if _ANATOMY_ONLY.match(text) or COMPARISON.search(text) else text


def _next_loose(text: str) -> re.Match[str] | None:
    """The next loose word that stands in a phrase of comparison (not in a state of one image)."""
    spans = [match.span() for match in COMPARISON.finditer(text)]
    for match in _LOOSE_WORD.finditer(text):
        if any(start < match.end() and match.start() < end for start, end in spans):
            return match
    return None


_LEFT_OVER = r"(?:slightly|mildly|somewhat|significantly|markedly|minimally|otherwise|grossly)"
"""Adverbs that a change leaves behind."""


def _tidy(text: str) -> str:
    text = re.sub(r"\s+([.,;])", r"\1", " ".join(text.split()))
    text = re.sub(r"\b(is|are) (?:is|are) ", r"\1 ", text)
    text = re.sub(r"\ba (?=[aeio])", "an ", re.sub(r"\ban (?=[^aeiouAEIOU\W])", "a ", text))
    text = re.sub(rf",? {_LEFT_OVER}(?=[.,;]|$)", "", text)
    text = re.sub(r",? (?:that|which) (?:is|are)(?=[.,;]|$)", "", text)
    text = re.sub(r"(?:,| but| and)+(?=\.|$)", "", text)
    text = re.sub(r"([.,;])[.,;]+", r"\1", text).strip(" ,;")
    if not any(character.isalnum() for character in text):
        return ""
    text = re.sub(r"^No [A-Z](?=[a-z]+ )", lambda m: f"No {m[0][-1].lower()}", text)
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
