"""The offline judge finds errors planted in the truth behind a report, and none in a paraphrase.

Reference and prediction are written from a chest's truth with different wordings, so that the
judge must read what is said and not how.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sources.replicas.truth import ChestTruth, ReplicaSpec, TrueFinding, draw_cohort
from sources.replicas.wording import write_report
from tasks.reports.offline_findings import Finding, read_report
from tasks.reports.offline_judge import judge

OTHER_SIDE = {"left": "right", "right": "left"}
OTHER_SEVERITY = {"small": "large", "large": "small", "moderate": "small"}
TRUTHS = draw_cohort(ReplicaSpec(300, seed=11), "judge")


def words(truth: ChestTruth, wording: int) -> str:
    return write_report(replace(truth, seed=truth.seed + wording)).findings


def errors(reference: str, prediction: str) -> dict[tuple[str, str], int]:
    counted = judge({"reference": reference, "prediction": prediction})
    return {(tier, kind): n for tier, kinds in counted.items() for kind, n in kinds.items() if n}


def altered(
    truth: ChestTruth,
    may: Callable[[TrueFinding], bool],
    change: Callable[[TrueFinding], TrueFinding | None],
) -> ChestTruth | None:
    """The truth with one finding changed (or, for None, left out)."""
    choice = [item for item in truth.findings if may(item) and not item.lateral_only]
    if not choice:
        return None
    picked = random.Random(truth.seed).choice(choice)
    new = [change(item) if item is picked else item for item in truth.findings]
    return replace(truth, findings=tuple(item for item in new if item is not None))


def other_side(item: TrueFinding) -> TrueFinding:
    return replace(item, side=OTHER_SIDE[str(item.side)])  # type: ignore[arg-type]


def other_severity(item: TrueFinding) -> TrueFinding:
    return replace(item, severity=OTHER_SEVERITY[str(item.severity)])  # type: ignore[arg-type]


PLANTS: dict[str, tuple[Callable[[TrueFinding], bool], Callable[[TrueFinding], Any]]] = {
    "omission_finding": (lambda item: True, lambda item: None),
    "incorrect_location": (lambda item: item.side in OTHER_SIDE, other_side),
    "incorrect_severity": (lambda item: item.severity is not None, other_severity),
}


def test_a_paraphrase_has_no_errors() -> None:
    found = [errors(words(truth, 0), words(truth, 1)) for truth in TRUTHS]
    assert sum(map(bool, found)) <= 0.02 * len(TRUTHS)


def test_the_same_text_has_no_errors() -> None:
    assert all(errors(words(truth, 0), words(truth, 0)) == {} for truth in TRUTHS)


@pytest.mark.parametrize("kind", PLANTS)
def test_planted_errors_are_recovered(kind: str) -> None:
    may, change = PLANTS[kind]
    planted = [(truth, altered(truth, may, change)) for truth in TRUTHS]
    found = [
        errors(words(truth, 0), words(wrong, 1)) for truth, wrong in planted if wrong is not None
    ]
    assert len(found) > 80
    named = [{name for _, name in counted} for counted in found]
    assert sum(kind in names for names in named) >= 0.95 * len(found)
    assert sum(names == {kind} for names in named) >= 0.9 * len(found)


def test_an_added_finding_is_an_omission_the_other_way_round() -> None:
    may, change = PLANTS["omission_finding"]
    planted = [(truth, altered(truth, may, change)) for truth in TRUTHS]
    found = [errors(words(less, 0), words(truth, 1)) for truth, less in planted if less is not None]
    named = [{name for _, name in counted} for counted in found]
    assert sum(names == {"false_positive_finding"} for names in named) >= 0.95 * len(found)


@pytest.mark.parametrize(
    ("added", "tier"),
    [
        (", unchanged from the prior study", "insignificant"),
        (", increased since the previous examination", "significant"),
        (", new since the prior radiograph", "significant"),
    ],
)
def test_planted_comparisons_are_recovered_both_ways(added: str, tier: str) -> None:
    for finding in ("Small left pleural effusion", "Right upper lobe nodule", "Cardiomegaly"):
        plain, compared = f"{finding}. No pneumothorax.", f"{finding}{added}. No pneumothorax."
        assert errors(plain, compared) == {(tier, "false_positive_comparison"): 1}
        assert errors(compared, plain) == {(tier, "omission_comparison"): 1}


@pytest.mark.parametrize(
    ("reference", "prediction", "counted"),
    [
        ("Large left pneumothorax.", "No pneumothorax.", {("significant", "omission_finding"): 1}),
        ("Clear.", "Scoliosis.", {("insignificant", "false_positive_finding"): 1}),
        ("Clear.", "Trace effusion.", {("insignificant", "false_positive_finding"): 1}),
        ("Clear.", "Possible nodule.", {("insignificant", "false_positive_finding"): 1}),
        ("Left effusion.", "Bilateral effusions.", {("insignificant", "incorrect_location"): 1}),
        ("Left upper lobe nodule.", "Left lower lobe nodule.",
         {("insignificant", "incorrect_location"): 1}),
        ("Small effusion.", "Moderate effusion.", {("insignificant", "incorrect_severity"): 1}),
        ("Small effusion.", "Large effusion.", {("significant", "incorrect_severity"): 1}),
        ("Consolidation.", "Opacity.", {("insignificant", "incorrect_severity"): 1}),
        ("Effusion.", "Left effusion.", {}),
        ("The effusion has resolved.", "No effusion.", {("significant", "omission_comparison"): 1}),
        ("Heart size is normal.", "", {}),
        ("", "", {}),
    ],
)  # fmt: skip
def test_tiers(reference: str, prediction: str, counted: dict[tuple[str, str], int]) -> None:
    assert errors(reference, prediction) == counted


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("Small left pleural effusion.", [Finding("effusion", frozenset("L"), frozenset(), 2)]),
        ("No effusion or pneumothorax.", []),
        ("The heart is moderately enlarged.", [Finding("cardiomegaly", grade=3)]),
        ("Severe enlargement of the cardiac silhouette.", [Finding("cardiomegaly", grade=4)]),
        ("Cardiac size is within normal limits.", []),
        ("Opacity in the right lower lobe.",
         [Finding("opacity", frozenset("R"), frozenset({"lower"}))]),
        ("Left effusion and right nodule.",
         [Finding("effusion", frozenset("L")), Finding("nodule", frozenset("R"))]),
        ("Possible pneumonia.", [Finding("pneumonia", doubted=True)]),
        ("No effusion, but there is a nodule.", [Finding("nodule")]),
        ("Effusions are seen bilaterally.", [Finding("effusion", frozenset("LR"))]),
        ("Increased interstitial markings.", [Finding("fibrosis")]),
    ],
)  # fmt: skip
def test_clauses_are_read_into_findings(text: str, findings: list[Finding]) -> None:
    assert list(read_report(text).findings.values()) == findings


def test_the_judge_shares_no_code_with_rule14() -> None:
    folder = Path(__file__).parent.parent / "tasks" / "reports"
    for name in ("offline_findings", "offline_judge"):
        tree = ast.parse((folder / f"{name}.py").read_text())
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not [module for module in imported if module and "evaluation" in module]
        assert imported <= {
            "__future__",
            "collections",
            "collections.abc",
            "dataclasses",
            "functools",
            "typing",
            "tasks.reports.offline_findings",
        }
