"""Views of drawn films as a probe of real films reads them: shares, controls, what is lacking."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evaluation.drawn_page import HEADLINES
from evaluation.drawn_scores import DrawnScores, Viewed, unlearned_notes, viewed_scores
from evaluation.image_quality import VIEW, ImageScore, Scored, image_scores
from evaluation.prompted_view import LEAST_FILMS, FilmViews, fit_probe, score_views, shuffled_views
from infra.errors import InputError
from sources.drawing import drawing_prompt
from sources.record import View
from tasks.draw.outcome import films_text
from tasks.draw.readings import Films, Read, viewed_films
from tasks.leaderboard.work import HEADLINES as RANKED
from tests.test_drawn_scores import page_of

VIEWS = ("PA", "AP", "LATERAL", "PA")
SCORED = Scored(80, 40, 80, 36, resamples=60, seed=3, unit="subject")


def films(views: Sequence[str], seed: int, shown: Sequence[str] | None = None) -> FilmViews:
    """Two films a subject, whose features tell the view that they show."""
    places = {str(view): place for place, view in enumerate(View)}
    drawn = np.random.default_rng(seed).normal(0, 0.2, (len(views), 6))
    drawn[range(len(views)), [places[view] for view in shown or views]] += 3
    return FilmViews(drawn, tuple(views), tuple(f"p{n // 2}" for n in range(len(views))))


ASKED = VIEWS * 20


def viewed(shown: Sequence[str] = ASKED, asked: Sequence[str] = ASKED) -> Viewed:
    untrained = films(asked, 3, ["UNKNOWN"] * len(asked))
    return Viewed(films(asked, 0, shown), untrained, films(asked, 1), films(VIEWS * 15, 2), "abc")


def by_key(scores: Sequence[ImageScore]) -> dict[tuple[str, str], ImageScore]:
    return {(each.metric, each.control): each for each in scores}


def test_films_of_the_asked_view_stand_apart_from_both_controls() -> None:
    found = viewed_scores(viewed(), SCORED)
    rows = by_key(found.scores)
    own = rows[VIEW, "none"]
    assert own.interval.value == 1.0
    assert own.ceiling is not None and own.ceiling.value == 1.0
    assert {each.control for each in found.differences} == {"untrained", "shuffled"}
    assert all(each.difference.better(higher_is_better=True) for each in found.differences)
    for control in ("untrained", "shuffled"):
        assert (rows[VIEW, control].interval.value or 0.0) < 0.7
    assert (found.unavailable, found.notes) == ({}, ())
    told = own.signature
    assert (told.labels, told.level, told.weights) == ("PA/AP/LATERAL", "80 films", "abc")
    assert (told.unit, told.model) == (
        "subject",
        "logistic regression of the finding classifier's features, 60 real films",
    )


def test_a_model_that_draws_one_view_whatever_it_is_asked_gains_nothing() -> None:
    found = viewed_scores(viewed(["PA"] * 80), SCORED)
    rows = by_key(found.scores)
    assert rows[VIEW, "none"].interval.value == pytest.approx(0.5)
    shares = {view: rows[f"{VIEW}[{view}]", "none"].interval.value for view in set(VIEWS)}
    assert shares == {"PA": 1.0, "AP": 0.0, "LATERAL": 0.0}
    assert rows[f"{VIEW}[AP]", "none"].ceiling == rows[VIEW, "none"].ceiling
    [gap] = [each.difference for each in found.differences if each.control == "shuffled"]
    assert gap.better(higher_is_better=True) is None


def test_prompts_that_name_no_view_take_no_part() -> None:
    half = [view if n % 2 else "UNKNOWN" for n, view in enumerate(VIEWS * 20)]
    probe, _ = fit_probe(films(VIEWS * 15, 2), films(half, 0))
    found = score_views(probe, films(half, 0), films(half, 1), 20, 3)
    assert (probe.views, found.films) == (("PA", "AP"), 40)
    assert found.drawn.value == 1.0


def test_a_view_of_too_few_films_is_left_out_with_the_reason() -> None:
    told = viewed()
    few = films([*("PA", "AP") * 15, *["LATERAL"] * (LEAST_FILMS - 1)], 2)
    found = viewed_scores(replace(told, train=few), SCORED)
    assert found.unavailable == {
        f"{VIEW}[LATERAL]": f"9 training films of view LATERAL, fewer than {LEAST_FILMS}"
    }
    rows = by_key(found.scores)
    assert rows[VIEW, "none"].signature.labels == "PA/AP"
    assert rows[VIEW, "none"].signature.level == "60 films"


@pytest.mark.parametrize(
    ("asked", "train", "why"),
    [
        (("PA",) * 80, VIEWS * 15, "prompts of PA films alone; expected two views at least"),
        (("UNKNOWN",) * 80, VIEWS * 15, "prompts of no films alone"),
        (("PA", "AP") * 40, ("PA",) * 60, "0 training films of view AP, fewer than 10"),
        (
            ("PA",) * 76 + ("AP",) * 4,
            VIEWS * 15,
            "prompts for view AP of 2 subjects, fewer than 5",
        ),
    ],
)
def test_without_two_views_there_is_no_number(
    asked: Sequence[str], train: Sequence[str], why: str
) -> None:
    found = viewed_scores(replace(viewed(asked, asked), train=films(train, 2)), SCORED)
    assert (found.scores, found.differences) == ((), ())
    assert why in found.unavailable[VIEW]
    with pytest.raises(InputError, match="to tell them apart"):
        fit_probe(films(train, 2), films(asked, 0))


def test_views_that_the_probe_does_not_see_are_said() -> None:
    blind = films(ASKED, 1, ["PA"] * 80)
    found = viewed_scores(replace(viewed(), real=blind), SCORED)
    [note] = found.notes
    assert note.startswith("views that the probe tells on real films at less than 0.75")
    assert note.endswith("AP, LATERAL")


def test_a_shuffled_film_is_held_to_another_subjects_view() -> None:
    turned = shuffled_views(films(VIEWS * 4, 0))
    assert sorted(turned.views) == sorted(VIEWS * 4)
    assert turned.views != VIEWS * 4


def test_prompts_for_views_that_were_never_shown_are_counted() -> None:
    prompts = [drawing_prompt(view, "A nodule.") for view in (*VIEWS, "UNKNOWN")]
    assert unlearned_notes(prompts, {"PA": 9}) == [
        "prompts for a view that the model has not been shown, drawn as another one: AP 1, "
        "LATERAL 1"
    ]
    for views in (None, {"PA": 9, "AP": 9, "LATERAL": 9}):
        assert unlearned_notes(prompts, views) == []


def test_each_film_is_judged_by_its_own_features_and_view() -> None:
    """Whatever the order in which films were read."""
    names = ["e2", "e0", "e1"]
    rows = tuple(
        {"example_id": name, "view": view, "source": "mimic_cxr", "subject_id": None, "study_id": s}
        for name, view, s in zip(names, ("AP", "PA", "LATERAL"), ("s2", "s0", "s1"), strict=True)
    )
    gathered = Films({"none": rows}, {}, {}, {"t1": "PA", "t0": "UNKNOWN"})
    number = {f"e{n}": np.full(4, float(n)) for n in range(3)}
    kinds = {"none": number, "untrained": {k: v + 10 for k, v in number.items()},
             "real": {k: v + 20 for k, v in number.items()},
             "train": {"t0": np.zeros(4), "t1": np.ones(4)}}  # fmt: skip
    told = viewed_films(
        Read({"finding-classifier": kinds}, {"finding-classifier": "w"}, {}), gathered
    )
    for kind, shift in ((told.drawn, 0), (told.untrained, 10), (told.real, 20)):
        assert kind.features[:, 0].tolist() == [2 + shift, 0 + shift, 1 + shift]
        assert kind.views == ("AP", "PA", "LATERAL")
        assert kind.units == gathered.units and len(set(kind.units)) == 3
    assert (told.train.features[:, 0].tolist(), told.train.views) == ([1, 0], ("PA", "UNKNOWN"))
    assert told.weights == "w"


def test_it_stands_in_the_table_on_the_page_and_among_what_is_ranked() -> None:
    found = viewed_scores(viewed(), SCORED)
    scores = image_scores(list(found.scores), found.unavailable)
    told = DrawnScores(SCORED, scores, found.differences, {}, {}, (), ())
    document: dict[str, Any] = json.loads(json.dumps(told.to_dict()))
    text = films_text(document)
    [line] = [one for one in text.splitlines() if one.startswith(f"{VIEW} ") and "less" not in one]
    assert line.count("1.000") >= 2
    assert f"{VIEW} less that of another's prompt: +" in text
    assert "  LATERAL             20 films  1.000" in text
    page = page_of(document)
    assert page.count(f"<h3>{VIEW}</h3>") == 2 and f"{VIEW}[LATERAL]" in page
    assert VIEW in HEADLINES and VIEW in RANKED
    assert scores.tracked()[f"none/{VIEW}.AP"] == 1.0
