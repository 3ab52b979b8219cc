"""Facts that rule14 does not know are not denied by a synthesis."""

from __future__ import annotations

import pytest

from sources.record import Image, LabelValue, SourceLabel, Study, View
from tasks.reports.facts import facts_of
from tasks.reports.fidelity_synthesized import check_synthesized


def reason(names: dict[str, LabelValue], findings: str, impression: str = "") -> str | None:
    labels = tuple(SourceLabel(name, value) for name, value in names.items())
    image = Image("i1", View.PA, "i1.png")
    study = Study("padchest", "s1", "p1", None, (image,), source_labels=labels)
    sections = {"findings": findings, "impression": impression}
    problem = check_synthesized(study, facts_of(study), {k: v for k, v in sections.items() if v})
    return problem.reason if problem else None


PRESENT = {"hiatal hernia": LabelValue.POSITIVE, "aortic elongation": LabelValue.POSITIVE}


@pytest.mark.parametrize(
    ("findings", "impression"),
    [
        ("No hiatal hernia. The aorta is elongated.", ""),
        ("There is a hiatal hernia. The aorta is not elongated.", ""),
        ("Hiatal hernia. Elongated aorta.", "No hiatal hernia."),
    ],
)
def test_a_denied_fact_is_refused(findings: str, impression: str) -> None:
    assert reason(PRESENT, findings, impression) == "negation-changed"


@pytest.mark.parametrize(
    "findings",
    [
        "There is a hiatal hernia. The aorta is elongated.",
        "Hiatal hernia without effusion, elongated aorta and no pneumothorax.",
        "No effusion, but a hiatal hernia. No aortic calcification; elongated aorta.",
    ],
)
def test_a_denial_of_something_else_is_none_of_it(findings: str) -> None:
    assert reason(PRESENT, findings) != "negation-changed"


def test_a_doubt_is_no_denial() -> None:
    doubted = {"hiatal hernia": LabelValue.UNCERTAIN}
    assert reason(doubted, "A hiatal hernia cannot be excluded.") is None
