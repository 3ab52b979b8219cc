"""Questions of the replicas: true of what the film shows, balanced, in one wording or several."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sources.record import View
from sources.replicas.questions import TEXTS, Asked, Asker, changes
from sources.replicas.truth import (
    FINDING_NAMES,
    ChestTruth,
    ReplicaSpec,
    Style,
    TrueFinding,
    draw_cohort,
    draw_person,
)

EFFUSION = TrueFinding("pleural effusion", "left", None, "large")
NODULE = TrueFinding("nodule", "right", "upper", "small")
HIDDEN = TrueFinding("nodule", None, "lower", "small", lateral_only=True)
HEART = TrueFinding("cardiomegaly", None, None, "large")
TUBE = TrueFinding("support device", None, None, None, "endotracheal tube")


def chest(*findings: TrueFinding, wording: Style = "template") -> ChestTruth:
    person = draw_person(np.random.default_rng(1), 1)
    return ChestTruth(person, 1, 5, (View.PA,), findings, wording)


def asker(*findings: TrueFinding, view: View = View.PA, wording: Style = "template") -> Asker:
    return Asker(chest(*findings, wording=wording), view, np.random.default_rng(3))


def answers(asked: list[Asked]) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.text, one.answers) for one in asked]


def test_presence_is_asked_of_what_is_there_and_what_is_not() -> None:
    asked = asker(EFFUSION, NODULE).presence()
    yes = {one.text for one in asked if one.answers == ("yes",)}
    no = {one.text for one in asked if one.answers == ("no",)}
    assert yes == {"is there pleural effusion?", "is there nodule?"}
    assert len(no) == 3 and not yes & no
    assert all(one.answers in (("yes",), ("no",)) for one in asked)


def test_lists_name_all_that_the_film_shows() -> None:
    sick = asker(EFFUSION, NODULE, HEART)
    assert answers(sick.abnormality()) == [
        ("which findings does this film show?", ("pleural effusion", "nodule", "cardiomegaly"))
    ]
    assert answers(sick.in_lung()) == [
        ("which findings are in the left lung?", ("pleural effusion",)),
        ("which findings are in the right lung?", ("nodule",)),
    ]
    assert asker().abnormality()[0].answers == ()


def test_a_finding_of_the_lateral_film_is_absent_on_a_frontal_one() -> None:
    assert asker(HIDDEN).abnormality()[0].answers == ()
    assert asker(HIDDEN, view=View.LATERAL).abnormality()[0].answers == ("nodule",)
    assert not any(one.answers == ("yes",) for one in asker(HIDDEN).presence())


def test_sides_are_the_patients() -> None:
    both = replace(EFFUSION, side="bilateral")
    assert answers(asker(EFFUSION).side()) == [
        ("is the pleural effusion on the left or on the right?", ("left",))
    ]
    assert asker(both).side()[0].answers == ("left", "right")
    assert asker(both).location()[0].answers == ("bilateral",)
    assert asker(both).in_lung()[1].answers == ("pleural effusion",)
    assert asker(HEART, TUBE).side() == []


def test_degrees_are_in_the_words_of_the_reports() -> None:
    assert [one.answers for one in asker(EFFUSION, HEART).level()] == [("large",), ("severe",)]


def test_kinds_are_asked_of_what_can_be_seen() -> None:
    plain = TrueFinding("consolidation", "left", "lower", None, "pneumonia")
    assert answers(asker(TUBE, plain).type()) == [
        ("what kind of support device is it?", ("endotracheal tube",))
    ]


def test_view_sex_and_size() -> None:
    frontal = asker(HEART, view=View.AP)
    assert frontal.view()[0].answers == ("ap",)
    (verified,) = frontal.verify_view()
    assert (verified.answers == ("yes",)) is ("ap" in verified.text)
    assert frontal.gender()[0].answers == (chest().person.sex.lower(),)
    assert (frontal.size()[0].answers, asker().size()[0].answers) == (("yes",), ("no",))


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ((), (), "nothing has changed."),
        ((EFFUSION,), (EFFUSION,), "nothing has changed."),
        ((EFFUSION,), (replace(EFFUSION, persists=True),), "nothing has changed."),
        ((), (NODULE,), "nodule is new."),
        ((NODULE,), (), "nodule is gone."),
        ((EFFUSION,), (replace(EFFUSION, side="right"),), "pleural effusion is different."),
        ((EFFUSION,), (replace(EFFUSION, severity="small"),), "pleural effusion is different."),
        ((EFFUSION, NODULE), (NODULE, HEART), "cardiomegaly is new. pleural effusion is gone."),
    ],
)
def test_what_changed(
    before: tuple[TrueFinding, ...], now: tuple[TrueFinding, ...], told: str
) -> None:
    assert changes(before, now) == told
    assert asker(*now).difference(chest(*before), View.PA)[0].answers == (told,)


def test_the_template_has_one_text_for_each_kind_and_free_wording_several() -> None:
    truths = draw_cohort(ReplicaSpec(40, seed=2, wording="free"), "x")
    sizes: tuple[tuple[Style, int, int], ...] = (("template", 1, 1), ("free", 2, 9))
    for wording, least, most in sizes:
        texts = {
            one.text
            for truth in truths
            for one in Asker(
                replace(truth, wording=wording), View.PA, np.random.default_rng(truth.seed)
            ).abnormality()
        }
        assert least <= len(texts) <= most


def test_every_kind_has_words_of_lower_case() -> None:
    for kind, texts in TEXTS.items():
        assert len(texts) >= 2 and len(set(texts)) == len(texts), kind
        assert all(text == text.lower() for text in texts)
    assert all(name == name.lower() for name in FINDING_NAMES)


def test_yes_and_no_are_near_balance_over_a_cohort() -> None:
    truths = draw_cohort(ReplicaSpec(200, seed=4), "x")
    asked = [
        one
        for truth in truths
        for one in Asker(truth, View.PA, np.random.default_rng(truth.seed)).presence()
    ]
    share = sum(one.answers == ("yes",) for one in asked) / len(asked)
    assert 0.25 < share < 0.5
