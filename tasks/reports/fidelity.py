"""Whether what came back may be kept: checks against what was asked, each with a reason code.

    label-lost, label-added, label-certainty   synthesized text and labels disagree under rule14
    name-lost          a label without a CheXpert counterpart is not named
    side-changed       left and right are not those of the question
    negation-changed   a denial appeared or vanished
    number-changed     a number appeared, vanished or changed
    comparison-kept    words of comparison where none may be
    finding-lost       a finding of the report is gone
    text-added         words without support in the report
    section-changed    a section appeared or vanished
    language           the text is not English
    length             far too short or too long
    empty              neither findings nor impression

Details name observations, sides and counts, never words of a report.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evaluation.labeler import label_report
from sources.record import OBSERVATIONS, LabelValue, Study
from tasks.reports.comparison import comparison_words
from tasks.reports.concepts import find_concept
from tasks.reports.facts import Fact, is_normal

Sections = Mapping[str, str]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


NO_FINDING = OBSERVATIONS[-1]
IMPLIED_BY: dict[str, frozenset[str]] = {
    "Lung Opacity": frozenset(
        {"Consolidation", "Pneumonia", "Atelectasis", "Edema", "Lung Lesion", "Pleural Other"}
    ),
    "Enlarged Cardiomediastinum": frozenset({"Cardiomegaly"}),
    "Cardiomegaly": frozenset({"Edema"}),
}
"""An observation that a text may state because it states a more special one (CheXpert's
hierarchy; heart failure is read as edema and a doubtful heart)."""

LONGEST_WORDS = 400
"""No radiograph's findings and impression are longer (our choice; MIMIC-CXR's are under 300)."""
LENGTH_RATIO = (0.4, 2.5)
"""Words of a translation per word of its source (our choice: articles come and go)."""
UNSUPPORTED_SHARE = 0.12
"""Share of content words that a structured text may have beyond its report's (our choice; rewriting
a comparison as a state takes a word or two a sentence)."""


@dataclass(frozen=True)
class Problem:
    """Why an answer is not kept."""

    reason: str
    detail: str


def check_synthesized(study: Study, facts: tuple[Fact, ...], sections: Sections) -> Problem | None:
    """Synthesized findings and impression against the study's labels and facts."""
    text = _body(sections)
    if not text:
        return Problem("empty", "found neither findings nor impression")
    if len(text.split()) > LONGEST_WORDS:
        return Problem("length", f"found {len(text.split())} words; expected {LONGEST_WORDS}")
    findings, impression = sections.get("findings", ""), sections.get("impression", "")
    return (
        _labels_problem(study, facts, findings)
        or _labels_problem(study, facts, impression, may_leave_out=True)
        or _names_problem(facts, text)
        or _facts_sides_problem(facts, text)
        or _no_comparison(text)
    )


def check_translated(source: Sections, answer: Sections) -> Problem | None:
    """An English translation against its source, section by section."""
    if set(source) != set(answer):
        return Problem("section-changed", f"found {_names(answer)}; expected {_names(source)}")
    for name, text in source.items():
        problem = _translation_problem(text, answer[name])
        if problem is not None:
            return Problem(problem.reason, f"{name}: {problem.detail}")
    return None


def check_structured(report: str, own: Sections, sections: Sections) -> Problem | None:
    """Sections against the report they were cut from, and against its own sections if any."""
    text = _body(sections)
    if not text:
        return Problem("empty", "found neither findings nor impression")
    return (
        _no_comparison(text)
        or _support_problem(report, text)
        or _aligned_problem(report, text)
        or _lost_problem(own, sections)
    )


def _body(sections: Sections) -> str:
    return " ".join(sections[name] for name in ("findings", "impression") if name in sections)


def _names(sections: Sections) -> str:
    return ", ".join(sorted(sections)) or "nothing"


def _no_comparison(text: str) -> Problem | None:
    found = comparison_words(text)
    return Problem("comparison-kept", f"found {len(found)} words of comparison") if found else None


def _labels_problem(
    study: Study, facts: tuple[Fact, ...], text: str, may_leave_out: bool = False
) -> Problem | None:
    """rule14's labels of the text against the study's; an impression may leave some out."""
    wanted = {label.observation: {label.value} for label in study.labels}
    for fact in facts:
        concept = find_concept(fact.name)
        if concept is not None and concept.observation in wanted:
            wanted[concept.observation].add(fact.value)
    found = label_report(text)
    for observation in OBSERVATIONS[:-1]:
        value = found.get(observation, LabelValue.UNMENTIONED)
        reason = _label_reason(observation, value, wanted)
        if reason is not None and not (may_leave_out and reason == "label-lost"):
            expected = " or ".join(sorted(wanted.get(observation, {LabelValue.UNMENTIONED})))
            return Problem(reason, f"found {observation} {value}; expected {expected}")
    normal = wanted.get(NO_FINDING) == {LabelValue.POSITIVE}
    others = any(
        fact.value is not LabelValue.NEGATIVE and not is_normal(fact.name) for fact in facts
    )
    if normal and not others and not may_leave_out and NO_FINDING not in found:
        return Problem("label-lost", f"found {NO_FINDING} unmentioned; expected positive")
    return None


def _label_reason(
    observation: str, value: LabelValue, wanted: Mapping[str, set[LabelValue]]
) -> str | None:
    """None where the text's value fits; unmentioned and negative fit each other."""
    expected = wanted.get(observation, {LabelValue.UNMENTIONED})
    asserted = (LabelValue.POSITIVE, LabelValue.UNCERTAIN)
    if value in asserted:
        if value in expected:
            return None
        if expected & set(asserted):
            return "label-certainty"
        implied = any(
            wanted.get(name, set()) & set(asserted) for name in IMPLIED_BY.get(observation, ())
        )
        return None if implied else "label-added"
    return None if expected - set(asserted) else "label-lost"


def _names_problem(facts: Iterable[Fact], text: str) -> Problem | None:
    """Every present or possible fact without a CheXpert counterpart is named."""
    stems = {word[:5] for word in _words(text)}
    for fact in facts:
        concept = find_concept(fact.name)
        without = concept is None or concept.observation is None
        if without and fact.value is not LabelValue.NEGATIVE and not is_normal(fact.name):
            nouns = (fact.name, *(concept.nouns if concept else ()))
            if not any(_content_stems(noun) & stems for noun in nouns):
                return Problem("name-lost", f"found no word of the label '{fact.name}'")
    return None


def _content_stems(noun: str) -> set[str]:
    """Stems of a label's words without the ones that any report has."""
    plain = {"the", "of", "another", "a", "an", "lung", "other", "signs", "pulmonary"}
    return {word[:5] for word in _words(noun) if word not in plain} or {
        word[:5] for word in _words(noun)
    }


_SIDE = re.compile(r"\b(left|right)\b|\b(bilateral(?:ly)?|both)\b", re.IGNORECASE)


def _sides(text: str) -> set[str]:
    found: set[str] = set()
    for match in _SIDE.finditer(text):
        found |= {"left", "right"} if match.group(2) else {match.group(1).lower()}
    return found


def _facts_sides_problem(facts: Iterable[Fact], text: str) -> Problem | None:
    """No side that no fact has; a fact of one side is not told of the other alone."""
    present = [fact for fact in facts if fact.value is not LabelValue.NEGATIVE]
    known = {side for fact in present for side in fact.place.sides}
    extra = _sides(text) - known
    if extra:
        return Problem("side-changed", f"found {', '.join(sorted(extra))}; expected no such side")
    for fact in present:
        concept = find_concept(fact.name)
        if concept is None or concept.placed == "none" or not fact.place.sides:
            continue
        stems = set().union(*(_content_stems(noun) for noun in (fact.name, *concept.nouns)))
        for sentence in _sentences(text):
            said = _sides(sentence)
            named = stems & {word[:5] for word in _words(sentence)}
            if (
                named
                and said
                and said != set(fact.place.sides)
                and not _shared(present, fact, sentence)
            ):
                expected = ", ".join(fact.place.sides)
                return Problem(
                    "side-changed",
                    f"found {', '.join(sorted(said))} for {fact.name}; expected {expected}",
                )
    return None


def _shared(facts: Iterable[Fact], fact: Fact, sentence: str) -> bool:
    """Whether the sentence speaks of another fact too, whose side it may be."""
    stems = {word[:5] for word in _words(sentence)}
    for other in facts:
        concept = find_concept(other.name)
        nouns = (other.name, *(concept.nouns if concept else ()))
        if other is not fact and any(_content_stems(noun) & stems for noun in nouns):
            return True
    return False


_SPANISH_SIDES = re.compile(r"\b(izq\w*)|\b(derech\w*|dch\w*)\b")
_SPANISH_COMPARISON = re.compile(
    r"\b(?:previ|compar|respect|cambi|persist|nuev|res[ou]|mejor|empeor|evoluc|estab|disminu|aument"
    r"|progres|continu|anterior|antigu|recient|control|actual)"
)
_SPANISH_DENIAL = re.compile(r"\b(?:no|sin|ni|ausenci?a?|niega|nunca)\b")
_ENGLISH_DENIAL = re.compile(r"\b(?:no|not|without|nor|absence|absent|cannot|never|denies|free)\b")
_SOFT_DENIAL = re.compile(r"\b(?:normal|clear|unremarkable|negative|unlikely|preserved|non)\b")
_SPANISH_WORDS = _set("""
    el la los las del con sin en por para que se una uno derecho derecha izquierdo izquierda
    derrame pulmon pulmonar hallazgos torax estudio cambios derech izquierd derram
""")
SPANISH_SHARE = 0.1
"""Share of Spanish words in a translation that is refused (our choice: a name or two may stay)."""


def _translation_problem(source: str, english: str) -> Problem | None:
    words = _words(english)
    ratio = len(words) / max(1, len(_words(source)))
    if len(words) > 8 and not LENGTH_RATIO[0] <= ratio <= LENGTH_RATIO[1]:
        return Problem("length", f"found {ratio:.1f} words for one of the source")
    foreign = sum(word in _SPANISH_WORDS for word in words)
    if foreign > SPANISH_SHARE * len(words):
        return Problem("language", f"found {foreign} of {len(words)} words Spanish")
    if _numbers(source) != _numbers(english):
        return Problem("number-changed", "found other numbers than the source has")
    sides = _spanish_side_counts(source)
    said = Counter(match.lower() for match in re.findall(r"(?i)\b(left|right)\b", english))
    if sides != said:
        return Problem("side-changed", f"found {_count(said)}; expected {_count(sides)}")
    if comparison_words(english) and not _SPANISH_COMPARISON.search(source.lower()):
        return Problem("text-added", "found a comparison that the source lacks")
    return _denial_problem(source, english)


def _spanish_side_counts(text: str) -> Counter[str]:
    found = _SPANISH_SIDES.findall(text.lower())
    return Counter("left" if left else "right" for left, _ in found)


def _count(sides: Counter[str]) -> str:
    return f"left {sides['left']} times, right {sides['right']} times"


def _denial_problem(source: str, english: str) -> Problem | None:
    """Sentence by sentence: a denial in one is a denial in the other."""
    before = [bool(_SPANISH_DENIAL.search(part.lower())) for part in _sentences(source)]
    spoken = [part.lower() for part in _sentences(english)]
    after = [bool(_ENGLISH_DENIAL.search(part)) for part in spoken]
    if len(before) != len(after):
        return Problem("section-changed", f"found {len(after)} sentences; expected {len(before)}")
    for index, (denied, denies) in enumerate(zip(before, after, strict=True)):
        if denied and not denies and not _SOFT_DENIAL.search(spoken[index]):
            return Problem("negation-changed", f"found no denial in sentence {index + 1}")
        if denies and not denied:
            return Problem("negation-changed", f"found a denial in sentence {index + 1}")
    return None


_GLUE = _set("""
    there this that these those with without within present seen noted appear appears evidence
    identified demonstrated visualized again finding findings from into over area have been
    their which normal portable chest radiograph views view
""")


def _support_problem(report: str, text: str) -> Problem | None:
    """Content words of the text, by stem, against the report's."""
    known = {word[:5] for word in _words(report)}
    content = [word for word in _words(text) if len(word) > 3 and word not in _GLUE]
    extra = [word for word in content if word[:5] not in known]
    if len(extra) > UNSUPPORTED_SHARE * len(content) + 1:
        return Problem("text-added", f"found {len(extra)} of {len(content)} words unsupported")
    told = label_report(report)
    for observation, value in label_report(text).items():
        expected = told.get(observation, LabelValue.UNMENTIONED)
        surplus = value is LabelValue.POSITIVE and expected is not value
        if surplus and observation != NO_FINDING:
            return Problem("text-added", f"found {observation} positive; expected {expected}")
    return None


def _lost_problem(own: Sections, sections: Sections) -> Problem | None:
    """What a section states without comparison is still in that section, or in the other."""
    for name in {"findings", "impression"} & own.keys():
        told = ". ".join(part for part in _sentences(own[name]) if not comparison_words(part))
        kept = label_report(sections.get(name) or _body(sections))
        for observation, value in label_report(told).items():
            denied = kept.get(observation) in (None, LabelValue.NEGATIVE)
            if value is LabelValue.POSITIVE and denied and observation != NO_FINDING:
                return Problem("finding-lost", f"{name}: found no {observation}; expected positive")
    return None


TWIN_SHARE = 0.7
"""Sentences within this share of the best overlap may be the one that was meant (our choice)."""


def _aligned_problem(report: str, text: str) -> Problem | None:
    """Each sentence against the ones of the report that it shares most words with."""
    source = [(part, set(_words(part))) for part in _sentences(_unwrapped(report))]
    for sentence in _sentences(text):
        words = set(_words(sentence))
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


def _twin_problem(source: str, sentence: str) -> Problem | None:
    told, said = (re.findall(r"\b(?:left|right)\b", part.lower()) for part in (source, sentence))
    if not _is_subsequence(said, told):
        return Problem(
            "side-changed", f"found {', '.join(said)}; expected {', '.join(told) or 'none'}"
        )
    if _numbers(sentence) - _numbers(source):
        return Problem("number-changed", "found a number that the report's sentence lacks")
    denied = [bool(_ENGLISH_DENIAL.search(part.lower())) for part in (source, sentence)]
    if denied[0] != denied[1] and not comparison_words(source):
        return Problem("negation-changed", "found a denial in one of report and answer only")
    return None


def _is_subsequence(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(item in rest for item in part)


def _unwrapped(report: str) -> str:
    """Lines that a printer broke, joined; empty lines still part paragraphs."""
    return re.sub(r"(?<=[^\n])\n(?!\s*(?:\n|[A-Z][A-Za-z ]+:))", " ", report)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def _numbers(text: str) -> Counter[str]:
    """Numbers of a text; list numbers at the start of a line or sentence do not count."""
    listed = re.sub(r"(?:^|(?<=[.\n:] ))\s*\d{1,2}[.)]\s", " ", text)
    return Counter(number.replace(",", ".") for number in re.findall(r"\d+(?:[.,]\d+)*", listed))


def _sentences(text: str) -> list[str]:
    parts = re.split(r"\.(?!\d)|[;\n?!](?:\s|$)", text)
    return [part for part in parts if re.search(r"\w", part)]
