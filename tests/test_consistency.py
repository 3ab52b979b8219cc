"""Findings beside impressions: agreement and contradictions by hand, the references as ceiling."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from evaluation.consistency import (
    REFERENCE,
    Sections,
    join_sections,
    measure_consistency,
    section_counts,
)
from evaluation.consistency_page import render_consistency, systems
from infra.errors import SettingsError
from infra.settings import load_settings
from infra.settings.abilities import section_pair
from tasks.consistency.outcome import consistency_text
from tasks.graph import build_graph

CLEAR = "The heart is normal in size. The lungs are clear. There is no pleural effusion."
NORMAL = "No acute cardiopulmonary process."
FLUID = "There is a small left pleural effusion. No pneumothorax."
EDEMA = "There is mild pulmonary edema."
BOTH = "Small left pleural effusion. Mild pulmonary edema."


def counts_of(findings: str, impression: str) -> list[int]:
    [row] = section_counts(Sections((findings,), (impression,)), "positive").tolist()
    return [int(number) for number in row]


def test_what_both_say_and_what_one_alone_says() -> None:
    assert counts_of(FLUID, FLUID)[:4] == [1, 0, 0, 0]
    assert counts_of(BOTH, "Small left pleural effusion.")[:4] == [1, 1, 0, 0]
    assert counts_of("Small left pleural effusion.", BOTH)[:4] == [1, 0, 1, 0]
    assert counts_of(CLEAR, NORMAL) == [0, 0, 0, 0, 0, 1]


def test_an_observation_that_one_asserts_and_the_other_denies_contradicts() -> None:
    """The clear chest denies the effusion, and it is a normal one beside a disease: two."""
    assert counts_of(FLUID, "No pleural effusion. Mild pulmonary edema.")[3:] == [1, 1, 1]
    assert counts_of(CLEAR, "Small left pleural effusion.")[3:] == [2, 1, 1]


def test_a_normal_impression_of_a_sick_chest_contradicts() -> None:
    assert counts_of(EDEMA, NORMAL)[3] >= 1
    assert counts_of(NORMAL, EDEMA)[3] >= 1


def test_devices_beside_a_normal_chest_are_no_contradiction() -> None:
    assert counts_of("A left pacemaker is in place. The lungs are clear.", NORMAL)[3] == 0


def predicted(place: int, control: str, prediction: str, reference: str) -> dict[str, Any]:
    return {
        "example_id": f"e{place}",
        "source": "rrg24",
        "study_id": f"s{place}",
        "subject_id": f"p{place // 2}",
        "view": "PA",
        "control": control,
        "image_study_id": f"s{place + (control == 'shuffled')}",
        "prediction": prediction,
        "reference": reference,
        "finish_reason": "stop",
    }


def tables(studies: int = 40) -> tuple[pa.Table, pa.Table]:
    """Findings of all studies but the last ten, impressions of all but the first ten. The models
    contradict each other in every fifth study; with another's image they never agree."""
    findings, impression = [], []
    for place in range(studies):
        sick = place % 2 == 0
        texts = (FLUID, "Small left pleural effusion.") if sick else (CLEAR, NORMAL)
        wrong = NORMAL if place % 10 == 0 else texts[1]
        if place < studies - 10:
            findings += [
                predicted(place, "none", texts[0], texts[0]),
                predicted(place, "shuffled", EDEMA, texts[0]),
            ]
        if place >= 10:
            impression += [
                predicted(place, "none", wrong, texts[1]),
                predicted(place, "shuffled", "Small left pneumothorax.", texts[1]),
            ]
    return pa.Table.from_pylist(findings), pa.Table.from_pylist(impression)


def test_studies_with_both_sections_are_held_together() -> None:
    joined = join_sections(*tables())
    assert len(joined.studies) == 20
    assert set(joined.systems) == {REFERENCE, "none", "shuffled"}
    assert all(len(each.findings) == len(each.impression) == 20 for each in joined.systems.values())


def test_the_references_are_the_ceiling() -> None:
    found = measure_consistency(join_sections(*tables()), "positive", 200, 3)
    assert (found.studies, found.subjects) == (20, 10)
    assert found.value(REFERENCE, "agreement").value == 1.0
    assert found.value(REFERENCE, "contradictions").value == 0.0
    assert found.value("none", "agreement").value == pytest.approx(2 * 8 / (2 * 8 + 2))
    assert found.value("none", "contradicted").value == pytest.approx(2 / 20)
    assert found.value("shuffled", "agreement").value == 0.0
    [less] = [m for m in found.measured if (m.system, m.metric) == ("none", "agreement")]
    assert less.against is not None and less.against.value == pytest.approx(16 / 18 - 1)
    with pytest.raises(KeyError, match="agreement of blank"):
        found.value("blank", "agreement")
    assert found.tracked()["consistency/none/contradicted"] == pytest.approx(0.1)


def test_no_shared_study_is_no_score() -> None:
    findings, impression = tables()
    found = measure_consistency(
        join_sections(findings.slice(0, 4), impression.slice(36, 4)), "positive", 50, 3
    )
    assert (found.measured, found.studies) == ((), 0)
    assert "unavailable: no test study has both" in consistency_text(document(found.to_dict()))


def document(own: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": 1, "recipe": "gla_rrg24", "scale": "tiny", "fingerprint": "f" * 16,
        "abilities": ["gla_findings", "gla_impression"], "replicas": ["rrg24"],
        "unavailable": {}, **own,
    }  # fmt: skip


def test_readers_see_models_beside_the_ceiling() -> None:
    found = measure_consistency(join_sections(*tables()), "positive", 200, 3)
    told = consistency_text(document(found.to_dict()))
    assert "references (ceiling)" in told
    assert "less the references' -0.1" in told
    rows = systems(document(found.to_dict()))
    assert [row["title"] for row in rows][:2] == ["References: the ceiling", "The models"]
    page = render_consistency(document(found.to_dict()))
    assert "20 test studies" in page
    assert "gla_findings beside gla_impression" in page
    assert page.count('<tr><th scope="row">') == 6


def test_the_page_without_a_study_says_why() -> None:
    empty = {"studies": 0, "subjects": 0, "measured": [], "totals": {}, "signature": {}}
    page = render_consistency(document({**empty, "unavailable": {"consistency": "no test"}}))
    assert "consistency: unavailable: no test" in page


@pytest.mark.parametrize("scale", ["paper", "tiny"])
def test_the_recipe_of_two_sections_asks_for_it(scale: str) -> None:
    settings = load_settings("gla_rrg24", scale)
    assert section_pair(settings.sets, settings.abilities) == ("gla_findings", "gla_impression")
    graph = build_graph(settings, {}, frozenset({"rrg24"}))
    [step] = graph.of_kind("consistency")
    assert set(step.inputs) == {"predictions/gla_findings", "predictions/gla_impression"}
    assert "consistency/gla_findings" in graph["models/gla_findings"].inputs
    assert "consistency/gla_findings" not in graph["models/gla_impression"].inputs


def test_one_section_alone_cannot_be_held_against_itself() -> None:
    with pytest.raises(SettingsError, match="no two abilities write both sections"):
        load_settings("llava_rad", "tiny", ['readings=["consistency"]'])
