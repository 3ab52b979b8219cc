"""Which pairs of image and text version become examples; each rule gives one rejection reason.

The rules are LLaVA-Rad's (its loaders and its PhysioNet release: official split, AP and PA only,
findings present, test references by rules only, two text versions in training and validation). A
rule is an SQL predicate over a row of ``candidate`` (see ``plan``), so that a million rows are
judged in one scan. The first rule that holds gives the reason: rows in = kept + rejected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from infra.settings.sections import ExampleSettings


@dataclass(frozen=True)
class Rule:
    """One reason why a row becomes no example.

    Args:
        reason: the code in the rejected rows, and the rule's name.
        why: what the rule is for, and where it comes from.
        rejects: SQL predicate over a candidate row; ``$views``, ``$test_sources`` and
            ``$validate_sources`` are the recipe's.
        detail: SQL text of what was found and expected; never report text.
    """

    reason: str
    why: str
    rejects: str
    detail: str


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "no-split",
        "A study that the publisher left out of its split belongs nowhere.",
        "split IS NULL",
        "'no split; expected train, validate or test'",
    ),
    Rule(
        "held-out-of-other-source",
        "Validate and test rows of a source that this recipe neither validates nor tests on stay "
        "out of training too: another recipe is scored on them (LLaVA-Rad is on CheXpert and "
        "Open-I), and a model's weights travel between recipes.",
        "(split = 'validate' AND NOT list_contains($validate_sources, source)) "
        "OR (split = 'test' AND NOT list_contains($test_sources, source))",
        "'split ' || split || '; this recipe has no ' || split || ' set of ' || source",
    ),
    Rule(
        "no-image",
        "A study kept as text only (its images are absent or were rejected when ingested).",
        "view IS NULL",
        "'no stored image; expected one or more'",
    ),
    Rule(
        "no-report",
        "A study without any text version.",
        "version IS NULL",
        "'no text version; expected one or more'",
    ),
    Rule(
        "not-english",
        "A text as published in another language; the models read and write English.",
        "language <> 'en'",
        "'language ' || language || '; expected en'",
    ),
    Rule(
        "test-reference-not-by-rules",
        "A test reference is the radiologist's own text, cut by the publisher or by rules; no "
        "language model may have touched it (LLaVA-Rad's 2,461 test references are rule-based). "
        "But RRG24 publishes translations as its references: what the publisher translated and cut "
        "is kept.",
        "split = 'test' AND NOT (version = 'keep' AND (origin = 'radiologist' "
        "AND sectioned_by IN ('publisher', 'rules') "
        "OR origin = 'translated' AND sectioned_by = 'publisher'))",
        "'version ' || version || ' of origin ' || origin || ' sectioned by ' || sectioned_by "
        "|| '; expected the radiologist''s text by publisher or rules'",
    ),
    Rule(
        "section-missing",
        "The section to be learned is no text (LLaVA-Rad's loaders drop findings that are not a "
        "string; a blank one teaches silence).",
        "NOT coalesce(has_section, false)",
        "'no text in the ' || $section || ' of version ' || version",
    ),
    Rule(
        "view-not-wanted",
        "LLaVA-Rad trains and tests on frontal views (AP and PA) only; an unknown view is none.",
        "NOT list_contains($views, view)",
        "'view ' || view || '; expected ' || array_to_string($views, ' or ')",
    ),
)
"""In the order they are asked: what concerns the study first, then the text, then the image."""


def rule_parameters(settings: ExampleSettings) -> dict[str, Any]:
    """The values of the rules' ``$`` parameters."""
    return {
        "views": list(settings.views),
        "section": settings.task,
        "test_sources": list(settings.test_sources),
        "validate_sources": list(settings.validate_sources),
    }


def first_match(rules: tuple[Rule, ...], give: str) -> str:
    """SQL for the ``reason`` or the ``detail`` of the first rule that holds, NULL if none does."""
    cases = [
        f"WHEN {rule.rejects} THEN " + (rule.detail if give == "detail" else f"'{rule.reason}'")
        for rule in rules
    ]
    return "CASE " + " ".join(cases) + " END"
