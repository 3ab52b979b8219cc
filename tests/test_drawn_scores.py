"""Scores of drawn films beside an untrained model's, another's prompt and real films."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evaluation.contact_sheet import SIDE_PX, SheetRow, draw_sheet, film_png
from evaluation.drawn_page import DrawnPage, render_drawn, table_rows, verdicts
from evaluation.drawn_scores import (
    FEWEST_FINDINGS,
    DrawnScores,
    FoundOnFilms,
    Judged,
    Reported,
    distance_scores,
    judged_scores,
    likeness_notes,
    notes_of,
    nothing_drawn,
    reported_scores,
    unjudged,
)
from evaluation.film_targets import FINDINGS, TARGETS, place_of
from evaluation.frechet_scale import FilmSets
from evaluation.image_quality import SIMILARITY, ImageScore, Scored, image_scores
from evaluation.prompted_findings import SEEN_FROM, FilmReadings, shuffled
from evaluation.statistics import Interval
from tasks.draw.outcome import films_text
from tests.models_world import picture
from tests.test_frechet_scale import films, sets
from tests.test_prompted_findings import TEXTS, readings, seen

SCORED = Scored(80, 80, 80, 36, resamples=60, seed=3, unit="subject")


def judged(noise: float = 0.2) -> Judged:
    """Films that show what is asked for through noise, an untrained model's that show nothing."""
    nothing = np.random.default_rng(5).random((len(TEXTS), len(TARGETS)))
    return Judged(seen(TEXTS, noise, 0), readings(TEXTS, nothing), seen(TEXTS, 0.1, 1), "abc")


def by_key(scores: Iterable[ImageScore]) -> dict[tuple[str, str], ImageScore]:
    return {(each.metric, each.control): each for each in scores}


def test_films_that_show_their_prompts_stand_apart_from_both_controls() -> None:
    found = judged_scores(judged(), SCORED)
    rows = by_key(found.scores)
    for metric in ("prompted-finding-AUROC-macro", "prompted-side-accuracy"):
        own = rows[metric, "none"].interval
        assert own.value is not None and own.low is not None and own.value > 0.8
        for control in ("untrained", "shuffled"):
            other = rows[metric, control].interval
            assert other.value is not None and other.high is not None
            assert other.value < 0.7 and own.low > other.high
            [gap] = apart(found, metric, control)
            assert gap.value == pytest.approx(own.value - other.value)
            assert gap.better(higher_is_better=True) is True
    assert rows["prompted-side-accuracy", "none"].signature.unit == "subject"
    judged_on = [each.finding for each in found.findings.findings]
    assert judged_on == ["Cardiomegaly", "Pleural Effusion"]


def apart(found: FoundOnFilms, metric: str, control: str) -> list[Interval]:
    return [
        each.difference
        for each in found.differences
        if (each.metric, each.control) == (metric, control)
    ]


def test_films_that_show_nothing_do_not() -> None:
    found = judged_scores(judged(30.0), SCORED)
    for control in ("untrained", "shuffled"):
        [gap] = apart(found, "prompted-finding-AUROC-macro", control)
        assert gap.low is not None and gap.better(higher_is_better=True) is None


def test_films_of_the_same_prompts_are_paired() -> None:
    """A model whose every probability is the untrained model's differs from it by nothing, with an
    interval of no width, though both alone have one of some."""
    same = judged(3.0)
    found = judged_scores(replace(same, untrained=same.drawn), SCORED)
    for metric in ("prompted-finding-AUROC-macro", "prompted-side-accuracy"):
        assert apart(found, metric, "untrained") == [Interval(0.0, 0.0, 0.0)]
        own = by_key(found.scores)[metric, "none"].interval
        assert own.low is not None and own.high is not None and own.low < own.high


def test_a_finding_that_the_judge_cannot_see_is_in_one_mean_alone() -> None:
    """The judge of real films is blind to the heart; drawn films show it none the less."""
    told = judged()
    blind = told.real.probabilities.copy()
    blind[:, place_of("Cardiomegaly")] = np.random.default_rng(8).random(len(TEXTS))
    found = judged_scores(replace(told, real=readings(TEXTS, blind)), SCORED)
    rows = by_key(found.scores)
    effusion = rows["prompted-finding-AUROC[Pleural Effusion]", "none"]
    cardiomegaly = rows["prompted-finding-AUROC[Cardiomegaly]", "none"]
    assert cardiomegaly.ceiling is not None and cardiomegaly.ceiling.value is not None
    assert cardiomegaly.ceiling.value < SEEN_FROM
    every = rows["prompted-finding-AUROC-macro", "none"].interval.value
    assert effusion.interval.value is not None and cardiomegaly.interval.value is not None
    assert every == pytest.approx((effusion.interval.value + cardiomegaly.interval.value) / 2)
    seen = rows["prompted-finding-AUROC-macro-seen", "none"]
    assert seen.interval == effusion.interval
    assert seen.signature.level == (
        "mean over 1 findings that the classifier finds on real films at 0.75 or above"
    )
    [note] = [one for one in notes_of(found) if "Cardiomegaly" in one and "less than" in one]
    assert note.startswith("findings that the classifier tells on real films at less than 0.75")


def test_sides_that_the_judge_cannot_see_are_left_out_of_the_seen_share() -> None:
    told = judged()
    mirrored = told.real.probabilities.copy()
    left, right = place_of("Pleural Effusion, left"), place_of("Pleural Effusion, right")
    mirrored[:, [left, right]] = told.real.probabilities[:, [right, left]]
    found = judged_scores(replace(told, real=readings(TEXTS, mirrored)), SCORED)
    rows = by_key(found.scores)
    assert rows["prompted-side-accuracy", "none"].interval.value is not None
    assert rows["prompted-side-accuracy-seen", "none"].interval.value is None
    assert rows["prompted-side-accuracy[Pleural Effusion]", "none"].is_detail
    [note] = [one for one in notes_of(found) if one.startswith("sides of findings")]
    assert note.endswith("leave out: Pleural Effusion")


def test_only_the_findings_that_are_asked_about_are_judged() -> None:
    found = judged_scores(judged(), SCORED, ("Cardiomegaly",))
    assert [each.finding for each in found.findings.findings] == ["Cardiomegaly"]
    names = {each.metric for each in found.scores if each.metric.startswith("prompted-finding")}
    assert names == {
        *("prompted-finding-AUROC-macro", "prompted-finding-AUROC-macro-seen"),
        "prompted-finding-AUROC[Cardiomegaly]",
    }


def test_fewer_than_five_findings_are_said() -> None:
    found = judged_scores(judged(), SCORED)
    [note] = notes_of(found)
    assert note.startswith("2 findings (Cardiomegaly, Pleural Effusion) have enough subjects")
    assert f"fewer than the {FEWEST_FINDINGS}" in note
    assert unjudged(found.findings) == {}
    two = [readings(TEXTS[:2], each.probabilities[:2]) for each in (seen(TEXTS, 0.1, 0),) * 3]
    alone = judged_scores(Judged(*two, "abc"), SCORED)
    assert notes_of(alone)[0].startswith("0 findings have enough subjects")
    assert unjudged(alone.findings) == {
        "prompted-finding-AUROC-macro": "no finding has enough subjects with and without it"
    }


def test_a_shuffled_film_is_held_to_another_units_text() -> None:
    units = [f"p{number // 2}" for number in range(8)]
    truth = np.zeros((8, len(TARGETS)))
    truth[:, 0] = range(8)
    turned = shuffled(FilmReadings(truth, truth, tuple(units)))
    assert sorted(turned.targets[:, 0]) == list(range(8)), "each text once"
    for unit, row in zip(units, turned.targets[:, 0], strict=True):
        assert units[int(row)] != unit
    assert turned.units == tuple(units)


def test_distances_that_cannot_be_measured_say_why() -> None:
    good, lost = distance_scores({"in-house": sets(films(4, 2.0))}, {"in-house": "a"}, SCORED)
    assert len(good) == 3 and lost == {}
    same = films(1, 1.0)
    flat = FilmSets(same, films(2, 1.0), same, films(4, 1.0))
    none, why = distance_scores({"in-house": flat}, {"in-house": "a"}, SCORED)
    assert none == []
    assert "expected the untrained model further" in why["Frechet-relative[in-house]"]
    few = FilmSets(same[:1], same[:1], same[:1], same[:1])
    none, why = distance_scores({"rad-dino": few}, {"rad-dino": "a"}, SCORED)
    assert none == []
    assert set(why) == {
        *("Frechet-relative[rad-dino]", "Frechet[rad-dino]", "kernel-distance[rad-dino]"),
    }


def test_a_distance_is_told_in_terms_of_real_films_and_low_diversity_in_words() -> None:
    good, _ = distance_scores({"in-house": sets(films(4, 2.0))}, {"in-house": "a"}, SCORED)
    [plain] = [each for each in good if each.metric == "Frechet[in-house]"]
    assert plain.ceiling is not None and plain.interval.value and plain.ceiling.value
    [note] = likeness_notes(good)
    ratio = plain.interval.value / plain.ceiling.value
    assert note.startswith(f"Frechet[in-house]: drawn films are {ratio:.1f} times as far from real")

    def alike(drawn: Interval) -> list[str]:
        real = Interval(0.55, 0.5, 0.6)
        return likeness_notes([replace(plain, metric=SIMILARITY, interval=drawn, ceiling=real)])

    [low] = alike(Interval(0.8, 0.7, 0.9))
    assert "(0.800) are more alike than real ones of one finding (0.550): low diversity" in low
    [chance] = alike(Interval(0.58, 0.5, 0.7))
    assert chance.endswith("no further than chance explains")
    assert alike(Interval(0.4, 0.3, 0.5)) == []


def reported() -> Reported:
    """A report model that reads drawn films half as well as real ones."""
    count = len(TEXTS)
    drawn = tuple(text if row % 2 else "The lungs are clear." for row, text in enumerate(TEXTS))
    return Reported(tuple(TEXTS), drawn, tuple(TEXTS), tuple(f"p{n}" for n in range(count)), "w")


def test_reports_of_drawn_films_lie_between_anothers_prompt_and_real_films() -> None:
    scores, differences = reported_scores(reported(), "negative", SCORED)
    rows = by_key(scores)
    own = rows["rule14-of-drawn-F1-micro", "none"]
    other = rows["rule14-of-drawn-F1-micro", "shuffled"]
    assert own.ceiling is not None and own.ceiling.value == 1.0
    assert own.interval.value is not None and other.interval.value is not None
    assert other.interval.value < own.interval.value < 1.0
    [gap] = [each for each in differences if each.metric == "rule14-of-drawn-F1-micro"]
    assert gap.difference.value == pytest.approx(own.interval.value - other.interval.value)
    assert gap.to_row()["beats"] is True and gap.control == "shuffled"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found = judged_scores(judged(), SCORED)
    scores, differences = reported_scores(reported(), "negative", SCORED)
    told = DrawnScores(
        SCORED,
        image_scores([*found.scores, *scores], {"x": "why"}),
        (*found.differences, *differences),
        {"mimic_cxr": 80},
        {each.finding: (each.positive, each.negative) for each in found.findings.findings},
        found.findings.without_support,
        tuple(notes_of(found)),
    )
    read: dict[str, Any] = json.loads(json.dumps(told.to_dict()))
    return read


def test_the_document_tells_what_was_judged(document: dict[str, Any]) -> None:
    assert (document["kind"], document["format"], document["prompts"]) == ("draw", 2, 80)
    assert document["findings"]["Cardiomegaly"] == [20, 60]
    assert set(document["without_support"]) == set(FINDINGS) - document["findings"].keys()
    assert {row["control"] for row in document["scores"]} == {"none", "untrained", "shuffled"}


def test_a_person_reads_a_line_for_each_metric_and_verdict(document: dict[str, Any]) -> None:
    text = films_text(document)
    assert "80 prompts of 80 subjects, films of 36 px" in text
    [line] = [one for one in text.splitlines() if "AUROC-macro less that of untrained" in one]
    assert re.fullmatch(
        r"prompted-finding-AUROC-macro less that of untrained model: "
        r"\+0\.\d{3} \[\+0\.\d{3}, \+0\.\d{3}\]: beats it",
        line,
    )
    assert re.search(r"^  Pleural Effusion +40 cases +1\.000 \[", text, re.MULTILINE)
    assert "NOTE: 2 findings" in text
    assert "unavailable: x: why" in text
    assert "prompted-finding-AUROC[" not in text, "details are for the page"


def page_of(told: dict[str, Any], sheet: tuple[SheetRow, ...] = ()) -> str:
    return render_drawn(
        DrawnPage(
            recipe="medxchat", scale="tiny", ability="draw", made_on="predictions f", funnel=(),
            fingerprints={"stages/guide": "0" * 16}, losses={"guide": [(1, 2.0), (2, 1.0)]},
            document=told, replicas=frozenset({"mimic_cxr"}), sheet=sheet,
        )
    )  # fmt: skip


def test_the_page_has_verdicts_tables_and_films(document: dict[str, Any]) -> None:
    row = SheetRow(
        "mimic_cxr", "s<1>", True, ("Pleural Effusion, left",), {"Pleural Effusion, left": 0.75},
        picture("left", 1), picture("right", 2), picture("left", 3),
    )  # fmt: skip
    page = page_of(document, (row,))
    assert page.count("data:image/png;base64,") == 3
    assert "Beats the control" in page
    assert "prompted-side-accuracy[Pleural Effusion]" in page
    assert "at 0.75 or above" in page
    assert "Pleural Effusion, left 0.750" in page
    assert "s&lt;1&gt;" in page and "s<1>" not in page
    assert "prompted-finding-AUROC[Cardiomegaly]" in page
    assert "2 findings (Cardiomegaly, Pleural Effusion)" in page
    assert "x: unavailable: why" in page


def test_the_page_of_nothing_says_why() -> None:
    page = page_of(nothing_drawn("no test examples").to_dict())
    assert "films: unavailable: no test examples" in page
    assert "this page cannot say" in page


def test_rows_and_verdicts_leave_out_what_has_no_number(document: dict[str, Any]) -> None:
    scores = [{**row, "value": None} for row in document["scores"]]
    assert table_rows(scores, is_detail=False) == []
    gaps = [{**row, "value": None} for row in document["differences"]]
    assert verdicts({"scores": scores, "differences": gaps}) == []
    first = table_rows(document["scores"], is_detail=False)[0]
    assert first["cells"].keys() == {"none", "untrained", "shuffled"}
    assert first["real"] is not None


def test_a_sheet_has_three_films_a_row_and_says_what_was_asked() -> None:
    normal = SheetRow("a", "s", True, (), {}, *(picture("left", n) for n in range(3)))
    assert normal.caption == "no finding"
    one, two = draw_sheet([normal]), draw_sheet([normal, normal])
    assert one.startswith(b"\x89PNG") and len(two) > len(one)
    assert film_png(normal.real).startswith(b"\x89PNG")
    assert SIDE_PX > 64


def test_what_the_judge_sees_alone_is_a_verdict_where_it_is_another_number(
    document: dict[str, Any],
) -> None:
    alike = [
        {**row, "value": 0.5} if row["control"] == "none" else row for row in document["scores"]
    ]
    named = {row["metric"] for row in verdicts({**document, "scores": alike})}
    assert named and not any(name.endswith("-seen") for name in named)
    other = [{**row, "value": 0.9} if row["metric"].endswith("-seen") else row for row in alike]
    assert {row["metric"] for row in verdicts({**document, "scores": other})} > named
