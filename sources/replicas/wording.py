"""Radiology English written from a truth: side, zone and degree in the text are the truth's.

A model can learn these reports from pixels alone, and a labeler reads back what is true:
``Wording.labels`` gives the 14 observations that the text states.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np

from sources.record import LabelValue, View
from sources.replicas.truth import OBSERVATION_OF, ChestTruth, TrueFinding, observations
from sources.replicas.wording_phrases import (
    COMPLAINTS,
    DEGREES,
    DOUBTFUL,
    NEUTRAL,
    NORMAL_IMPRESSIONS,
    OCCASIONS,
    PNEUMONIA,
    POSITIVE,
    SHORT,
    SYSTEMS,
    phrase_key,
)

_ZONES: dict[str, tuple[str, ...]] = {
    "upper": ("upper lobe", "upper lung"),
    "middle": ("mid lung", "middle zone"),
    "lower": ("lower lobe", "lower lung"),
}

_BOTH_ZONES = {"upper": "upper lungs", "middle": "mid lungs", "lower": "lower lungs"}

_UNCHANGED = (
    ", unchanged from the prior study.",
    ", unchanged.",
    ", stable since the prior study.",
)
_NEW = (", new since the prior study.", ", new compared to the prior study.")


@dataclass(frozen=True)
class Wording:
    """One report and what its findings section says: observations denied and left in doubt."""

    indication: str
    technique: str
    comparison: str
    findings: str
    impression: str
    negated: frozenset[str]
    uncertain: frozenset[str]

    def labels(self, truth: ChestTruth) -> dict[str, LabelValue]:
        """The 14 observations as this text states them."""
        return observations(truth, self.negated, self.uncertain)


def write_report(
    truth: ChestTruth,
    *,
    compare: bool = False,
    doubt: float = 0.0,
    age_text: str | None = None,
) -> Wording:
    """The report of a study; equal truths and options give equal text.

    Args:
        compare: speak of the prior study ("unchanged", "new since ...") where there is one.
        doubt: share of doubtful wordings among the findings that allow them.
        age_text: how the indication writes the age, such as ``___``; by default it is left out.
    """
    rng = np.random.default_rng([truth.seed, crc32(b"wording")])
    write = _template_findings if truth.wording == "template" else _findings
    findings, negated, uncertain, doubted = write(truth, rng, compare, doubt)
    return Wording(
        indication=write_indication(truth, rng, age_text),
        technique=_technique(truth, rng),
        comparison=_comparison(truth, rng),
        findings=findings,
        impression=_impression(truth, rng, doubted),
        negated=negated,
        uncertain=uncertain,
    )


def write_indication(truth: ChestTruth, rng: np.random.Generator, age_text: str | None) -> str:
    """Why the study was made; independent of its findings."""
    if rng.random() < 0.15:
        return _pick(rng, OCCASIONS)
    complaint = " and ".join(
        COMPLAINTS[i]
        for i in rng.choice(len(COMPLAINTS), size=int(rng.integers(1, 3)), replace=False)
    )
    if age_text is None:
        return f"{complaint[0].upper()}{complaint[1:]}."
    person = "woman" if truth.person.sex == "F" else "man"
    return f"{age_text} year old {person} with {complaint}."


def describe(finding: TrueFinding, rng: np.random.Generator, templates: tuple[str, ...]) -> str:
    """One of the templates, filled in for the finding."""
    degree = DEGREES.get(finding.name, {}).get(finding.severity or "", finding.severity or "")
    zone = finding.zone or "lower"
    if finding.name == "rib fracture":
        area = {"upper": "upper", "middle": "middle", "lower": "lower"}[zone]
    elif finding.side == "bilateral":
        area = _BOTH_ZONES[zone]
    else:
        area = _pick(rng, _ZONES[zone])
    text = _pick(rng, templates).format(
        side="bilateral" if finding.side == "bilateral" else finding.side or "",
        place=f"{finding.side} {area}",
        zone=area,
        a_zone=f"an {area}" if area[0] in "aeiou" else f"a {area}",
        degree=degree,
        degreely={"mild": "mildly", "moderate": "moderately", "severe": "severely"}.get(degree, ""),
        a_degree=f"a {degree}",
    )
    return text[0].upper() + text[1:]


def _findings(
    truth: ChestTruth, rng: np.random.Generator, compare: bool, doubt: float
) -> tuple[str, frozenset[str], frozenset[str], frozenset[str]]:
    """Text, observations denied, observations in doubt, and names of findings in doubt."""
    present = {finding.name for finding in truth.findings}
    parts: list[list[str]] = []
    negated: set[str] = set()
    doubted: set[str] = set()
    for names, denials in SYSTEMS:
        part: list[str] = []
        for finding in truth.findings:
            if finding.name in names:
                is_doubted = _allows_doubt(finding) and rng.random() < doubt
                doubted |= {finding.name} if is_doubted else set()
                part.append(_statement(truth, finding, rng, compare, is_doubted))
        for denial in denials:
            is_free = not negated & set(denial.denies) and not present & set(denial.absent)
            if is_free and rng.random() < denial.chance:
                part.append(_pick(rng, denial.sentences))
                negated |= set(denial.denies)
        parts.append(part)
    if rng.random() < 0.3:  # reports from intensive care start with the devices
        parts.insert(0, parts.pop())
    sentences = [sentence for part in parts for sentence in part]
    spare = [text for text in NEUTRAL if not _is_untrue(text, present)]
    while len(sentences) < 3 or (spare and len(sentences) < 5 and rng.random() < 0.1):
        sentences.append(spare.pop(int(rng.integers(len(spare)))))
    uncertain = frozenset(OBSERVATION_OF[name] for name in doubted)
    return " ".join(sentences), frozenset(negated), uncertain, frozenset(doubted)


_TEMPLATE_SAYS = 0.4
"""Denials as frequent as this in free dictation are in the template. Our choice: clear lungs,
consolidation, pleura, heart and mediastinum, so that a small model reads five facts from each film
and no line depends on whether another was left out."""


def _template_findings(
    truth: ChestTruth, rng: np.random.Generator, compare: bool, doubt: float
) -> tuple[str, frozenset[str], frozenset[str], frozenset[str]]:
    """As ``_findings``, but for the order and the words: one phrase per fact, none left out."""
    present = {finding.name for finding in truth.findings}
    sentences: list[str] = []
    negated: set[str] = set()
    doubted: set[str] = set()
    for names, denials in SYSTEMS:
        for finding in truth.findings:
            if finding.name in names:
                is_doubted = _allows_doubt(finding) and rng.random() < doubt
                doubted |= {finding.name} if is_doubted else set()
                sentences.append(_statement(truth, finding, rng, compare, is_doubted))
        for denial in denials:
            is_free = not negated & set(denial.denies) and not present & set(denial.absent)
            if is_free and denial.chance >= _TEMPLATE_SAYS:
                sentences.append(denial.sentences[0])
                negated |= set(denial.denies)
    uncertain = frozenset(OBSERVATION_OF[name] for name in doubted)
    return " ".join(sentences), frozenset(negated), uncertain, frozenset(doubted)


def _allows_doubt(finding: TrueFinding) -> bool:
    return phrase_key(finding) in DOUBTFUL and finding.kind not in PNEUMONIA


def _statement(
    truth: ChestTruth, finding: TrueFinding, rng: np.random.Generator, compare: bool, doubted: bool
) -> str:
    """The finding's own sentence, with its change since the prior study and its cause."""
    key = phrase_key(finding)
    templates = DOUBTFUL[key] if doubted else POSITIVE[key]
    if truth.wording == "template":
        text = describe(finding, np.random.default_rng(0), templates[:1])
    else:
        text = describe(finding, rng, templates)
    if compare and truth.study > 1 and rng.random() < 0.7:
        text = text[:-1] + _pick(rng, _UNCHANGED if finding.persists else _NEW)
    if finding.kind in PNEUMONIA:
        text += " " + _pick(rng, PNEUMONIA[finding.kind])
    return text


def _is_untrue(neutral: str, present: set[str]) -> bool:
    return ("bony" in neutral and "rib fracture" in present) or (
        "hila" in neutral and "edema" in present
    )


def _impression(truth: ChestTruth, rng: np.random.Generator, doubted: frozenset[str]) -> str:
    """The findings in short; devices and foreign objects alone leave the chest normal."""
    lines = [_short(finding, rng, finding.name in doubted) for finding in truth.findings]
    quiet = {"support device", "foreign object"}
    if all(finding.name in quiet for finding in truth.findings):
        lines.insert(0, _pick(rng, NORMAL_IMPRESSIONS))
    if len(lines) > 1 and rng.random() < 0.5:
        return " ".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))
    return " ".join(lines)


def _short(finding: TrueFinding, rng: np.random.Generator, is_doubted: bool) -> str:
    text = describe(finding, rng, (SHORT[phrase_key(finding)],))
    if is_doubted:
        text = f"Possible {text[0].lower()}{text[1:]}"
    if finding.kind == "pneumonia":
        text = text[:-1] + ", consistent with pneumonia."
    if finding.kind == "possible pneumonia":
        text = text[:-1] + ", possible pneumonia."
    return text


def _technique(truth: ChestTruth, rng: np.random.Generator) -> str:
    if View.LATERAL in truth.views:
        return _pick(
            rng, ("Frontal and lateral views of the chest.", "PA and lateral chest radiographs.")
        )
    if View.AP in truth.views:
        return _pick(
            rng, ("Single portable AP view of the chest.", "Portable AP chest radiograph.")
        )
    return _pick(rng, ("Single frontal view of the chest.", "PA chest radiograph."))


def _comparison(truth: ChestTruth, rng: np.random.Generator) -> str:
    if truth.study > 1:
        return _pick(rng, ("Prior chest radiograph.", "Previous study."))
    return _pick(rng, ("None.", "None available."))


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]
