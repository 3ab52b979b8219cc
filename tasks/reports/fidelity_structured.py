"""A structured report against the report it was cut from: nothing added, nothing lost."""

from __future__ import annotations

import re

from evaluation.labeler import label_report
from sources.record import OBSERVATIONS, LabelValue
from tasks.reports.comparison import COMPARISON, comparison_words
from tasks.reports.fidelity import UNKNOWN_TO_RULE14, Problem, no_comparison
from tasks.reports.wording import (
    ENGLISH_DENIAL,
    Sections,
    body,
    number_words_of,
    numbers_of,
    sentences_of,
    unwrapped,
    words_of,
)

NO_FINDING = OBSERVATIONS[-1]
_ASIDE = re.compile(
    r"\b(?:discussed|communicated|notified|telephone|paged|informed|dictated|signed|recommend"
    r"|follow-?up|advised|correlat)",
    re.IGNORECASE,
)
"""Notes and advice, which a structured report leaves out."""
_GONE = re.compile(r"\b(?:resol|remov|clear|no longer|withdraw|extubat)", re.IGNORECASE)
UNSUPPORTED_SHARE = 0.12
"""Share of content words that a structured text may have beyond its report's (our choice; rewriting
a comparison as a state takes a word or two a sentence)."""
_GLUE = frozenset(
    """
    there this that these those with without within present seen noted appear appears evidence
    identified demonstrated visualized again finding findings from into over area have been
    their which normal portable chest radiograph views view
    otherwise slight slightly significant significantly interval overall essentially grossly
    prior previous earlier study studies examination comparison compared
    """.split()  # noqa: SIM905
)


def check_structured(report: str, own: Sections, sections: Sections) -> Problem | None:
    """Sections against the report they were cut from, and against its own sections if any."""
    text = body(sections)
    if not text:
        return Problem("empty", "found neither findings nor impression")
    return (
        no_comparison(text)
        or _support_problem(report, text)
        or _surplus_problem(report, text)
        or _unknown_problem(report, text)
        or _aligned_problem(report, text)
        or _sentence_problem(report, text)
        or _stated_problem(own, text)
        or _lost_problem(own, sections)
    )


def _support_problem(report: str, text: str) -> Problem | None:
    """Content words of the text, by stem, against the report's."""
    known = {word[:5] for word in words_of(report)}
    content = [word for word in words_of(text) if len(word) > 3 and word not in _GLUE]
    extra = [word for word in content if word[:5] not in known]
    if len(extra) > UNSUPPORTED_SHARE * len(content) + 1:
        return Problem("text-added", f"found {len(extra)} of {len(content)} words unsupported")
    return None


def _sentence_problem(report: str, text: str) -> Problem | None:
    """No sentence is made of words that the report has not."""
    known = {word[:5] for word in words_of(report)}
    for index, sentence in enumerate(sentences_of(text)):
        own = _content(sentence)
        if own and len(own & known) <= UNSUPPORTED_SENTENCE * len(own):
            return Problem("text-added", f"found no support for sentence {index + 1}")
    return None


UNSUPPORTED_SENTENCE = 0.5
"""Share of a sentence's content words known to the report at which it counts as new (our choice: an
edited sentence keeps nearly all of its words, an invented one shares the common ones)."""
RETAINED_SHARE = 0.5
"""Share of a sentence's content words beyond which its section still has it (our choice: minimal
edits keep nearly all of them, a dropped sentence shares few with its neighbours)."""


def _surplus_problem(report: str, text: str) -> Problem | None:
    """No observation is positive under rule14 that the whole report does not state."""
    told = label_report(report)
    for observation, value in label_report(text).items():
        expected = told.get(observation, LabelValue.UNMENTIONED)
        surplus = value is LabelValue.POSITIVE and expected is not value
        if surplus and observation != NO_FINDING:
            return Problem("text-added", f"found {observation} positive; expected {expected}")
    return None


def _unknown_problem(report: str, text: str) -> Problem | None:
    """No finding that rule14 does not know, unless the report names it."""
    known = report.lower()
    extra = {found.lower() for found in UNKNOWN_TO_RULE14.findall(text)}
    if any(stem not in known for stem in extra):
        return Problem("text-added", "found a finding that the report does not name")
    return None


def _stated_problem(own: Sections, text: str) -> Problem | None:
    """What the report's own sections state of the present is positive in the text too."""
    said = label_report(text)
    for observation in _stated(own):
        value = said.get(observation, LabelValue.UNMENTIONED)
        if value is LabelValue.NEGATIVE:
            return Problem("negation-changed", f"found {observation} denied; expected positive")
        if value is LabelValue.UNMENTIONED:
            return Problem("finding-lost", f"found {observation} unmentioned; expected positive")
    return None


def _stated(own: Sections) -> list[str]:
    """Observations that a report's own sections state of the present image."""
    kept = [
        _must_stay(sentence)
        for name in sorted({"findings", "impression"} & own.keys())
        for sentence in sentences_of(unwrapped(own[name]))
    ]
    labels = label_report(". ".join(part for part in kept if part))
    return [
        observation
        for observation, value in labels.items()
        if value is LabelValue.POSITIVE and observation != NO_FINDING
    ]


def _lost_problem(own: Sections, sections: Sections) -> Problem | None:
    """What a section states without comparison is still there."""
    for name in sorted({"findings", "impression"} & own.keys()):
        stems = {word[:5] for word in words_of(sections.get(name) or body(sections))}
        for index, sentence in enumerate(sentences_of(unwrapped(own[name]))):
            content = _content(_must_stay(sentence))
            if content and len(content & stems) <= RETAINED_SHARE * len(content):
                return Problem("finding-lost", f"{name}: found no trace of sentence {index + 1}")
    return None


def _must_stay(sentence: str) -> str:
    """What of a report's sentence belongs into a structured one, which tells no change."""
    if _ASIDE.search(sentence):
        return ""
    if not comparison_words(sentence):
        return sentence
    present = COMPARISON.sub(" ", sentence)
    found = {name for name, value in label_report(present).items() if value is LabelValue.POSITIVE}
    says = bool(found - {NO_FINDING}) or _STATE.search(present) is not None
    return present if says and not _GONE.search(sentence) else ""


_STATE = re.compile(
    r"\b(?:low|enlarged|tortuous|calcified|elevated|elevation|widened|blunted|blunting|thickened"
    r"|hyperinflated|hyperexpanded|prominent|scoliosis|kyphosis|degenerative|deformity)\b",
    re.IGNORECASE,
)
"""Words that say how something is now, whatever was said of its change."""


def _content(text: str) -> set[str]:
    """Stems of the words that say something."""
    return {word[:5] for word in words_of(text) if len(word) > 3 and word not in _GLUE}


TWIN_SHARE = 0.7
"""Sentences within this share of the best overlap may be the one that was meant (our choice)."""


def _aligned_problem(report: str, text: str) -> Problem | None:
    """Each sentence against the ones of the report that it shares most words with."""
    source = [(part, _topic(COMPARISON.sub(" ", part))) for part in sentences_of(unwrapped(report))]
    for sentence in sentences_of(text):
        words = _topic(sentence)
        scores = [len(words & other) / (len(words | other) or 1) for _, other in source]
        best = max(scores, default=0.0)
        twins = [
            part
            for (part, _), score in zip(source, scores, strict=True)
            if score and score >= TWIN_SHARE * best
        ]
        problems = [_twin_problem(twin, sentence) for twin in twins]
        if problems and None not in problems:
            return problems[0]
    return None


def _topic(sentence: str) -> set[str]:
    """What a sentence is about: its content words but the sides, or else all of its words."""
    return (_content(sentence) - {"left", "right"}) or set(words_of(sentence))


_NO_CHANGE = re.compile(
    r"\b(?:no|without)(?:\s+\w+){0,3}\s+(?:change|comparison|prior|previous|recent)\w*"
    r"|\bnot (?:\w+ )?(?:present|seen|visible|noted|identified) (?:in|on) (?:the )?(?:\w+ )?"
    r"(?:prior|previous|earlier|last|older|(?:19|20)\d\d)\b",
    re.IGNORECASE,
)
"""A denial that goes with the comparison it denies."""
_FORMER_NUMBER = re.compile(
    r"\b(?:previously|formerly|compared (?:to|with)) (?:\w+ ){0,2}\d+(?:[.,]\d+)?",
    re.IGNORECASE,
)
"""What was measured earlier, which a structured report leaves out."""
_ABNORMAL = re.compile(r"\babnormal", re.IGNORECASE)


def _twin_problem(source: str, sentence: str) -> Problem | None:
    told, said = (re.findall(r"\b(?:left|right)\b", part.lower()) for part in (source, sentence))
    if not _is_subsequence(said, told):
        return Problem(
            "side-changed", f"found {', '.join(said)}; expected {', '.join(told) or 'none'}"
        )
    present = _FORMER_NUMBER.sub(" ", source)
    surplus = numbers_of(sentence) - numbers_of(present)
    known = numbers_of(present).keys() | number_words_of(present)
    if surplus.keys() - number_words_of(present) or number_words_of(sentence) - known:
        return Problem("number-changed", "found a number that the report's sentence lacks")
    forms = (source, COMPARISON.sub(" ", source), _NO_CHANGE.sub(" ", source))
    told_denied = {bool(ENGLISH_DENIAL.search(form.lower())) for form in forms}
    denied = bool(ENGLISH_DENIAL.search(sentence.lower()))
    abnormal = _ABNORMAL.search(sentence) and not _ABNORMAL.search(source) and not denied
    if abnormal or (denied not in told_denied and not _GONE.search(source)):
        return Problem("negation-changed", "found a denial in one of report and answer only")
    return None


def _is_subsequence(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(item in rest for item in part)
