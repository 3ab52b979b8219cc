"""The structuring checks on real Open-I text, in wording that nobody here wrote, with mistakes."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from second_set_english import ADDED
from second_set_world import KINDS, Case, Score, dice, score

from sources.catalog import get_source
from sources.record import study_from_row
from tasks.reports.fidelity_structured import check_structured
from tasks.reports.offline_structure import structure
from tasks.reports.record import sections_of

pytestmark = pytest.mark.public_data
STUDIES = 1200
KEYWORD = {
    "effusion": "effusion",
    "pneumothorax": "pneumothorax",
    "fracture": "fractur",
    "edema": "edema",
    "nodule": "nodul",
    "mediastinum": "tortuo",
    "device": "tube",
}
FLIP = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
CHANGES = (", unchanged.", ", stable since the prior study.", ", worse than before.")


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=\.)\s+(?=[A-Z])", text)


def _replaced(pattern: str, by: dict[str, str] | str, text: str, rng: random.Random) -> str | None:
    found = list(re.finditer(pattern, text))
    if not found:
        return None
    match = rng.choice(found)
    new = by if isinstance(by, str) else by[match.group()]
    return text[: match.start()] + new + text[match.end() :]


def _damaged(text: str, report: str, kind: str, rng: random.Random) -> str | None:
    if kind == "side":
        return _replaced(r"\b(?:left|right|Left|Right)\b", FLIP, text, rng)
    if kind == "denial":
        return _replaced(r"\b(?:There (?:is|are) no|No evidence of|No)\b", "There is", text, rng)
    if kind == "number":
        return _replaced(r"\b\d+(?:\.\d+)?(?= ?(?:mm|cm)\b)", "77", text, rng)
    parts = _sentences(text)
    if kind == "added":
        free = [topic for topic, word in KEYWORD.items() if word not in report.lower()]
        return " ".join([*parts, ADDED[rng.choice(free)]]) if free else None
    at = rng.randrange(len(parts))
    if kind == "comparison":
        return " ".join(
            [*parts[:at], parts[at].rstrip(". ") + rng.choice(CHANGES), *parts[at + 1 :]]
        )
    stems = [set(re.findall(r"[a-z]{4}", part.lower())) for part in parts]
    elsewhere = set().union(*stems[:at], *stems[at + 1 :]) if len(parts) > 1 else set()
    is_own = len(stems[at] - elsewhere) > 0.5 * len(stems[at])  # said nowhere else
    return " ".join(parts[:at] + parts[at + 1 :]) if len(parts) > 1 and is_own else None


def _cases(root: Path) -> Iterator[Case]:
    rng = dice("public")
    rows = get_source("openi").read(root / "openi").studies.slice(0, STUDIES).to_pylist()
    for row in rows:
        study = study_from_row(row)
        own = sections_of(study.texts[0]) if study.texts else {}
        report = study.raw_report or "\n".join(f"{n.upper()}: {t}" for n, t in own.items())
        given = structure({"report": report}) if report else {}
        answer = {name: " ".join(text.split()) for name, text in given.items() if text}
        if not answer.get("findings") or check_structured(report, own, answer) is not None:
            continue
        for kind in KINDS:
            bad = _damaged(answer["findings"], report, kind, rng)
            if bad is not None:
                yield _case(kind, report, own, answer, bad)


def _case(
    kind: str, report: str, own: dict[str, str], answer: dict[str, str], findings: str
) -> Case:
    changed = {**answer, "findings": findings}
    return Case(kind, answer["findings"], findings, lambda: check_structured(report, own, changed))


@pytest.fixture(scope="module")
def scored(public_data: Path) -> Score:
    return score(_cases(public_data))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "lost"])
def test_mistakes_in_real_text_are_caught(scored: Score, kind: str) -> None:
    assert scored.cases[kind] >= 15
    assert scored.share_caught(kind) >= 0.95, scored.complaint()


def test_sentences_lost_from_real_text_are_caught(scored: Score) -> None:
    assert scored.cases["lost"] >= 200
    assert scored.share_caught("lost") >= 0.95, scored.complaint()
