"""Requests, spans and films: findings and sides by hand, failures by kind, ceilings, the page."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from evaluation.coherence import (
    Coherence,
    NotDrawn,
    Requests,
    measure_coherence,
    measure_films,
)
from evaluation.coherence_page import FAILURES as TOLD
from evaluation.coherence_page import render_coherence
from evaluation.film_targets import film_targets
from evaluation.held_request import (
    CONTRADICTS,
    FAILURES,
    OMITS,
    VIEW_NOT_LEARNED,
    WRONG_DEGREE,
    WRONG_SIDE,
    WRONG_VIEW,
    Held,
    asserted,
    hold,
)
from evaluation.request_words import degrees_of, views_of_films
from sources.xray_span import read_span, with_span
from tasks.coherence.outcome import coherence_text

LEFT = "Please show me a PA chest X-ray with a small left pleural effusion."
NORMAL = "For a lecture I need a PA chest X-ray without any abnormality, a normal one."
SPAN = "PA view of the chest was obtained. There is a small left pleural effusion."
RIGHT = "PA view of the chest was obtained. There is a right pleural effusion."
EDEMA = "PA view of the chest was obtained. There is pulmonary edema."
CLEAR = "PA view of the chest was obtained. The heart is normal in size. The lungs are clear."


def held(request: str, span: str) -> Held:
    return hold(request, read_span(with_span("Here it is.", span)))


def test_a_span_that_says_what_was_asked() -> None:
    one = dict.fromkeys(
        ("shown", "asked", "said", "right", "sided", "fitting", "graded", "seen", "viewed"), 1
    )
    assert held(LEFT, SPAN) == Held(**one, whole=1, coherent=1, failures=frozenset())
    none = dict.fromkeys(one, 0) | {"seen": 1, "viewed": 1}
    assert held(NORMAL, CLEAR) == Held(**none, whole=1, coherent=1, failures=frozenset())


def test_a_report_says_more_than_a_request_names() -> None:
    found = held(LEFT, f"{SPAN} There is pulmonary edema.")
    assert (found.shown, found.asked, found.said) == (1, 1, 2)
    assert not found.failures


@pytest.mark.parametrize(
    ("request_text", "span", "failures"),
    [
        (LEFT, EDEMA, {OMITS}),
        (LEFT, RIGHT, {WRONG_SIDE}),
        (LEFT, f"{EDEMA} There is no pleural effusion.", {OMITS, CONTRADICTS}),
        (LEFT, CLEAR, {OMITS, CONTRADICTS}),
        (NORMAL, EDEMA, {CONTRADICTS}),
        (f"{LEFT} There is no edema.", f"{SPAN} There is pulmonary edema.", {CONTRADICTS}),
        (LEFT, SPAN.replace("PA", "Lateral"), {WRONG_VIEW}),
        (LEFT, SPAN.removeprefix("PA view of the chest was obtained. "), {WRONG_VIEW}),
        (LEFT, SPAN.replace("small", "large"), {WRONG_DEGREE}),
        (
            "Please draw a lateral chest X-ray with a large right pneumothorax.",
            "PA view of the chest was obtained. There is a small right pneumothorax.",
            {WRONG_VIEW, WRONG_DEGREE},
        ),
        (
            "A PA film with severe cardiomegaly.",
            "PA view. The heart is mildly enlarged.",
            {WRONG_DEGREE},
        ),
    ],
)
def test_what_goes_wrong_is_named(request_text: str, span: str, failures: set[str]) -> None:
    found = held(request_text, span)
    assert found.failures == failures
    assert (found.coherent, found.requests) == (0, 1)


@pytest.mark.parametrize(
    ("request_text", "span"),
    [
        ("Draw a small left pleural effusion.", SPAN),  # no view is any view
        ("A frontal film with a small left pleural effusion.", SPAN.replace("PA", "AP")),
        (LEFT, SPAN.replace("small ", "")),  # no degree is no other degree
        (LEFT, SPAN.replace("small", "trace")),
        (LEFT, f"{SPAN} There is severe pulmonary edema."),  # another finding's degree
        ("A PA film with mild to moderate edema.", f"{EDEMA.replace('is', 'is moderate')}"),
    ],
)
def test_what_is_no_failure(request_text: str, span: str) -> None:
    assert not held(request_text, span).failures


def test_degrees_and_views_are_read_where_they_belong() -> None:
    text = "There is a small effusion and severe edema, with cardiomegaly. No large mass."
    assert degrees_of(text) == {
        "Pleural Effusion": frozenset({"slight"}),
        "Edema": frozenset({"great"}),
    }
    assert views_of_films("A lateral view, and a PA chest film of the lateral ribs.") == {
        "LATERAL",
        "PA",
    }
    assert views_of_films("Opacity in the lateral lung.") == frozenset()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("I cannot draw.", "no-span"),
        ("Here: <Xray></Xray>", "empty"),
        (f"<Xray>{SPAN}</Xray> <Xray>{SPAN}</Xray>", "several"),
        (f"<Xray>{SPAN}", "no-end"),
    ],
)
def test_faults_of_the_form_are_failures_and_what_can_be_read_still_counts(
    answer: str, fault: str
) -> None:
    found = hold(LEFT, read_span(answer))
    assert fault in found.failures
    assert (found.whole, found.coherent, found.requests) == (0, 0, 1)
    assert found.shown == (fault in ("several", "no-end"))


def test_a_doubt_is_not_asked_for_and_both_sides_are_no_side() -> None:
    doubted = "Please show me a PA chest X-ray with possible pneumonia."
    assert asserted(doubted) == frozenset()
    both = "Please show me bilateral pleural effusions."
    assert (held(both, SPAN).right, held(both, SPAN).sided) == (0, 0)


def requests(count: int = 24) -> Requests:
    """Two requests a subject; every fourth answer has another side, every sixth no span."""
    texts = [LEFT if n % 2 else NORMAL for n in range(count)]
    good = [with_span("Here.", SPAN if n % 2 else CLEAR) for n in range(count)]
    said = [with_span("Here.", RIGHT) if n % 4 == 1 else text for n, text in enumerate(good)]
    said = ["No." if n % 6 == 0 else text for n, text in enumerate(said)]
    units = tuple(f"p{n // 2}" for n in range(count))
    return Requests(tuple(texts), tuple(said), tuple(good), units)


@pytest.fixture(scope="module")
def found() -> Coherence:
    return measure_coherence(requests(), 60, 3)


def test_references_are_the_ceiling_and_anothers_request_the_floor(found: Coherence) -> None:
    assert (found.requests, found.subjects) == (24, 12)
    assert found.value("reference", "coherent-requests").value == 1.0
    assert found.value("none", "span-recall").value == 1.0, "a wrong side is still asserted"
    assert found.value("none", "span-side-accuracy").value == pytest.approx(0.5)
    assert found.value("none", "whole-spans").value == pytest.approx(20 / 24)
    shuffled = found.value("shuffled", "coherent-requests").value
    own = found.value("none", "coherent-requests").value
    assert shuffled is not None and own is not None and shuffled <= own
    with pytest.raises(KeyError, match="span-recall of blank"):
        found.value("blank", "span-recall")


def test_failures_are_counted_by_kind(found: Coherence) -> None:
    assert set(found.failures["none"]) == set(FAILURES) == set(TOLD)
    told = {kind: count for kind, count in found.failures["none"].items() if count}
    assert told == {"no-span": 4, WRONG_SIDE: 6}
    assert not any(found.failures["reference"].values())


def test_a_view_that_nobody_was_shown_is_a_failure_of_its_own(found: Coherence) -> None:
    """Of whole spans alone, and no failure of the text."""
    told = measure_coherence(requests(), 60, 3, {"AP": 9})
    assert told.failures["none"][VIEW_NOT_LEARNED] == 20
    assert told.failures["reference"][VIEW_NOT_LEARNED] == 24
    for name in ("coherent-requests", "span-view-accuracy", "whole-spans"):
        assert told.value("none", name) == found.value("none", name)
    for known in ({"PA": 9, "AP": 9}, None):
        assert measure_coherence(requests(), 60, 3, known).failures == found.failures


def test_numbers_have_names_for_a_registry(found: Coherence) -> None:
    tracked = found.tracked()
    assert tracked["coherence/none/span-side-accuracy"] == pytest.approx(0.5)
    assert all(name.startswith("coherence/") for name in tracked)
    assert all(name.startswith("apart/") for name in found.tracked("apart"))


SIDES = (SPAN, RIGHT, CLEAR)


def test_films_are_held_to_span_and_request() -> None:
    spans = [SIDES[n % 3] for n in range(36)]
    asked = [LEFT if n % 3 < 2 else NORMAL for n in range(36)]
    noise = np.random.default_rng(0).normal(0, 0.05, (36, film_targets(spans).shape[1]))
    seen = np.nan_to_num(film_targets(spans), nan=0.5) + noise
    films = measure_films(seen, asked, spans, [f"p{n}" for n in range(36)], 60, 3)
    rows = {(each.system, each.metric): each.interval for each in films.measured}
    value = {key: each.value for key, each in rows.items()}
    assert value["none", "film-of-span-AUROC-macro"] == 1.0
    assert value["none", "film-of-span-side-accuracy"] == 1.0
    assert value["none", "film-of-request-side-accuracy"] == pytest.approx(0.5)
    other = value["shuffled", "film-of-span-AUROC-macro"]
    assert other is not None and other < 0.9
    assert (films.films, films.asked, films.missed) == (36, 24, 0)
    assert value["none", "asked-findings-on-film"] == 1.0
    blind = measure_films(0 * seen, asked, spans, [f"p{n}" for n in range(36)], 60, 3)
    assert blind.missed == 24


def document(of: Coherence, **more: Any) -> dict[str, Any]:
    told = {
        "format": 2, "recipe": "medxchat", "scale": "tiny", "fingerprint": "f" * 16,
        "replicas": ["mimic_cxr"], **of.to_dict(), "held_out": of.to_dict(), "unavailable": {},
        "of_films": None, **more,
    }  # fmt: skip
    read: dict[str, Any] = json.loads(json.dumps(told))
    return read


def test_readers_see_shares_failures_and_films(found: Coherence) -> None:
    films = measure_films(
        film_targets([SPAN] * 12 + [CLEAR] * 12), [LEFT] * 12 + [NORMAL] * 12,
        [SPAN] * 12 + [CLEAR] * 12, [f"p{n}" for n in range(24)], 20, 3,
        NotDrawn(3, {"LATERAL": 5}),
    )  # fmt: skip
    told = document(found, of_films=films.to_dict())
    text = coherence_text(told)
    assert "24 requests for a film" in text
    assert "references (ceiling)" in text
    lost = "3 without a whole span, 5 of a view that the model has not been shown (LATERAL)"
    assert f"24 films of 32 requests ({lost})" in text
    assert f"24 films of 32 requests ({lost})" in render_coherence(told)
    assert "failures of the model: no-span 4, wrong-side 6" in text
    assert "findings asked for that are on no film: 0 of 12" in text
    assert text.count("failures of the model") == 2 and "words that were held out" in text
    page = render_coherence(told)
    assert "a view that the model which draws has not been shown" in page
    assert page.count("says the other side") == 2 and "In words that were held out" in page
    assert "is of another view" in page and "another size or severity" in page
    assert "film-of-span-AUROC-macro" in page
    assert LEFT not in page and SPAN not in page, "no text of the data"


def test_no_request_is_no_score() -> None:
    none = measure_coherence(Requests((), (), (), ()), 20, 3)
    told = document(none, unavailable={"coherence": "no request for a film"})
    assert "unavailable: coherence: no request" in coherence_text(told)
    assert "coherence: unavailable: no request" in render_coherence(told)
