"""Two texts with their differences marked: by finding, as rule14 reads them, sentence by sentence.

A finding is an observation that a text asserts. ``agrees`` stands in both, ``missed`` in the
reference alone, ``false`` in the prediction alone: ``evaluation.report_views`` marks them alike on
the pages of scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from evaluation.grounding_match import sentence_spans
from evaluation.labeler import label_report, squeeze
from evaluation.report_views import Segment, mark_findings
from sources.record import OBSERVATIONS, LabelValue


@dataclass(frozen=True)
class Sentence:
    """One sentence, cut where findings are; ``map`` numbers its attention map, None without one."""

    segments: tuple[Segment, ...]
    map: int | None = None

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments)


@dataclass(frozen=True)
class Finding:
    """One of the 14 observations; values are None where a text does not speak of it."""

    observation: str
    reference: str | None
    prediction: str | None
    kind: str
    """``agrees``, ``missed``, ``false``, or ``quiet`` where neither text asserts it."""


@dataclass(frozen=True)
class Marked:
    """Both texts of a case, and what they say of each observation."""

    reference: tuple[Sentence, ...]
    prediction: tuple[Sentence, ...]
    findings: tuple[Finding, ...]

    def of(self, kind: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.kind == kind)


def mark(reference: str, prediction: str) -> Marked:
    """Mark what agrees, was missed or was added."""
    true, told = mark_findings(reference, prediction)
    return Marked(
        tuple(_sentences(true)), tuple(_sentences(told)), tuple(_findings(reference, prediction))
    )


def findings_of(text: str) -> tuple[tuple[str, str], ...]:
    """Observations that a text speaks of, with their value, in the usual order."""
    labels = label_report(text)
    return tuple((name, str(labels[name])) for name in OBSERVATIONS if name in labels)


def with_maps(sentences: Iterable[Sentence], maps: Mapping[str, int]) -> tuple[Sentence, ...]:
    """Sentences with the numbers of their maps, which are named by the sentence's words."""
    known = {squeeze(words): number for words, number in maps.items()}
    return tuple(replace(one, map=known.get(one.text.strip())) for one in sentences)


def _findings(reference: str, prediction: str) -> Iterable[Finding]:
    true, told = label_report(reference), label_report(prediction)
    for name in OBSERVATIONS:
        if name in true or name in told:
            is_true, is_told = (each.get(name) is LabelValue.POSITIVE for each in (true, told))
            kinds = {(True, True): "agrees", (True, False): "missed", (False, True): "false"}
            yield Finding(
                name, _value(true, name), _value(told, name), kinds.get((is_true, is_told), "quiet")
            )


def _value(labels: Mapping[str, LabelValue], name: str) -> str | None:
    return str(labels[name]) if name in labels else None


def _sentences(segments: Sequence[Segment]) -> Iterable[Sentence]:
    """Cut segments at the ends of sentences; a finding that spans one is cut in two."""
    text = "".join(segment.text for segment in segments)
    ends = [*[start for start, _ in sentence_spans(text)][1:], len(text)]
    begun, at = list[Segment](), 0
    for segment in segments:
        rest = segment.text
        while ends and at + len(rest) >= ends[0]:
            cut = ends.pop(0) - at
            begun.append(replace(segment, text=rest[:cut]))
            yield Sentence(tuple(each for each in begun if each.text))
            begun, rest, at = [], rest[cut:], at + cut
        if rest:
            begun.append(replace(segment, text=rest))
            at += len(rest)
