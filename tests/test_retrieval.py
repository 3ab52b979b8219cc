"""Retrieval: hand-made rankings, ties, duplicates, chance, and what always holds."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.retrieval import (
    DEPTHS,
    Encoded,
    Pool,
    RetrievalScore,
    blind_precision,
    blind_recall,
    centred,
    chance_precision,
    chance_recall,
    precisions,
    ranks,
    score_retrieval,
    score_rows,
    tracked,
)
from evaluation.retrieval_page import groups, render_retrieval
from tasks.retrieve.outcome import retrieval_text


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def pool(count: int, texts: list[str] | None = None) -> Pool:
    """One film and one text a study, two studies a subject."""
    subjects = tuple(f"p{number // 2}" for number in range(count))
    keys = tuple(texts or [f"text {number}" for number in range(count)])
    studies = tuple(f"s{number}" for number in range(count))
    return Pool(np.arange(count), keys, subjects, subjects, studies, "impression")


def by_name(scores: list[RetrievalScore], direction: str, policy: str) -> dict[str, float | None]:
    return {
        item.metric: item.interval.value
        for item in scores
        if (item.direction, item.policy) == (direction, policy)
    }


# Ranks by hand.


def test_ranks_by_hand() -> None:
    similarity = np.array([[0.9, 0.1, 0.5], [0.2, 0.3, 0.4], [0.1, 0.2, 0.3]])
    assert ranks(similarity, np.eye(3, dtype=bool)).tolist() == [1, 2, 1]


def test_a_tie_goes_against_the_query() -> None:
    similarity = np.full((1, 4), 0.5)
    assert ranks(similarity, np.array([[True, False, False, False]])).tolist() == [4]


def test_of_several_relevant_ones_the_best_counts() -> None:
    similarity = np.array([[0.1, 0.9, 0.5, 0.7]])
    relevant = np.array([[True, False, True, True]])
    assert ranks(similarity, relevant).tolist() == [2]


def test_a_query_without_a_relevant_candidate_is_a_defect() -> None:
    with pytest.raises(AssertionError, match="without a relevant candidate"):
        ranks(np.zeros((1, 2)), np.zeros((1, 2), dtype=bool))


# Chance.


def test_chance_of_one_relevant_candidate_is_its_share_of_the_pool() -> None:
    relevant = np.eye(50, dtype=bool)
    for depth in DEPTHS:
        assert chance_recall(relevant, depth) == pytest.approx(depth / 50)
    assert chance_recall(relevant, 60) == 1.0


def test_chance_of_several_is_hypergeometric() -> None:
    relevant = np.zeros((1, 10), dtype=bool)
    relevant[0, :3] = True
    assert chance_recall(relevant, 2) == pytest.approx(1 - (7 / 10) * (6 / 9))
    relevant[0] = True
    assert chance_recall(relevant, 1) == 1.0


def test_random_embeddings_reach_chance_and_no_more() -> None:
    rng = np.random.default_rng(0)
    encoded = Encoded("x", unit(rng.normal(size=(400, 8))), unit(rng.normal(size=(400, 8))))
    scores = score_retrieval(encoded, pool(400), 200, 0)
    five = [item for item in scores if item.metric == "R@5"]
    for item in five:
        assert item.chance == pytest.approx(5 / 400)
        assert item.interval.low is not None
        assert item.interval.low <= 5 / 400 * 2
        assert not item.beats_chance
    median = by_name(scores, "image to text", "instance")["median rank"]
    assert 160 <= (median or 0) <= 240


def test_a_blind_order_serves_the_common_texts_first() -> None:
    relevant = np.zeros((10, 4), dtype=bool)
    relevant[:6, 2] = relevant[6:9, 0] = relevant[9, 1] = True
    assert [blind_recall(relevant, depth) for depth in (1, 2, 3, 9)] == [0.6, 0.9, 1.0, 1.0]


def test_a_blind_order_does_not_serve_a_query_twice() -> None:
    relevant = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)
    assert blind_recall(relevant, 2) == 1.0


def test_an_encoder_that_knows_only_what_is_common_does_not_beat_the_blind_order() -> None:
    texts = ["stock"] * 60 + [f"text {number // 2}" for number in range(40)]
    common = np.array([float(text == "stock") for text in texts])
    rows = np.stack([1 + common, np.arange(100) / 1e6], axis=1)
    films = np.tile([1.0, 0.0], (100, 1))  # all films alike: the order of texts is the same for all
    scores = score_retrieval(Encoded("x", films, rows), pool(100, texts), 200, 0)
    here = [s for s in scores if (s.direction, s.policy) == ("image to text", "distinct texts")]
    one = next(item for item in here if item.metric == "R@1")
    assert (one.interval.value, one.blind) == (0.6, 0.6)
    assert one.chance == pytest.approx(1 / 21)
    assert (one.beats_chance, one.beats_blind) == (True, False)
    row = {**next(row for row in score_rows([one]))}
    told = retrieval_text({"scores": [row | {"metric": "R@5"}], "zero_shot": {}, "unavailable": {}})
    assert "NOT ABOVE A BLIND ORDER" in told


# Whole scores.


def test_equal_embeddings_find_each_other() -> None:
    rows = unit(np.random.default_rng(1).normal(size=(60, 16)))
    scores = score_retrieval(Encoded("x", rows, rows), pool(60), 50, 0)
    for direction in ("image to text", "text to image"):
        found = by_name(scores, direction, "instance")
        assert found == {
            "R@1": 1.0,
            "R@5": 1.0,
            "R@10": 1.0,
            "MRR": 1.0,
            "mean rank": 1.0,
            "median rank": 1.0,
        }
    assert all(item.beats_chance for item in scores if item.chance is not None)


def test_a_stock_report_costs_instances_and_not_equal_texts() -> None:
    rows = np.repeat(unit(np.random.default_rng(2).normal(size=(20, 16))), 3, axis=0)
    texts = [f"text {number // 3}" for number in range(60)]
    scores = score_retrieval(Encoded("x", rows, rows), pool(60, texts), 50, 0)
    assert by_name(scores, "image to text", "instance")["R@1"] == 0.0  # three alike: ties against
    assert by_name(scores, "image to text", "instance")["R@5"] == 1.0
    assert by_name(scores, "image to text", "equal text")["R@1"] == 1.0
    equal = next(s for s in scores if s.policy == "equal text" and s.metric == "R@1")
    assert equal.chance == pytest.approx(3 / 60)


def test_distinct_texts_stand_in_the_pool_once() -> None:
    rows = unit(np.random.default_rng(2).normal(size=(20, 16)))
    films, texts = np.repeat(rows, 3, axis=0), [f"text {number // 3}" for number in range(60)]
    scores = score_retrieval(Encoded("x", films, films), pool(60, texts), 50, 0)
    own = {item.metric: item for item in scores if item.policy == "distinct texts"}
    assert (own["R@1"].queries, own["R@1"].candidates) == (20, 60)  # text to image comes last
    for direction in ("image to text", "text to image"):
        assert by_name(scores, direction, "distinct texts")["R@1"] == 1.0
    there = next(s for s in scores if s.policy == "distinct texts" and s.metric == "R@5")
    assert (there.direction, there.queries, there.candidates) == ("image to text", 60, 20)
    assert there.chance == pytest.approx(5 / 20)


def test_a_perfect_encoders_recall_is_told_beside_chance() -> None:
    """Of 10 films 4 share one text: read right off the film, it still ties against the query."""
    texts = ["stock"] * 4 + [f"text {number}" for number in range(6)]
    keys = np.unique(texts, return_inverse=True)[1]
    perfect = np.eye(7)[keys]
    scores = score_retrieval(Encoded("x", perfect, perfect), pool(10, texts), 10, 0)
    for direction in ("image to text", "text to image"):
        own = {s.metric: s for s in scores if (s.direction, s.policy) == (direction, "instance")}
        assert (own["R@1"].ceiling, own["R@5"].ceiling) == (0.6, 1.0)
        assert own["R@1"].interval.value == own["R@1"].ceiling  # reached, and not passed
        assert own["median rank"].ceiling is None
    others = [s.ceiling for s in scores if s.policy != "instance" and s.metric.startswith("R@")]
    assert set(others) == {1.0}
    rows = score_rows(scores)
    assert rows[0]["ceiling"] == 0.6
    page = render_retrieval(document() | {"scores": rows})
    assert "Perfect encoder" in page
    assert '<td class="n">0.600</td></tr>' in page


def test_the_signature_names_section_and_studies() -> None:
    """Two versions of a study's text are one study."""
    rows = unit(np.random.default_rng(13).normal(size=(4, 4)))
    names = ("p0", "p0", "p1", "p1")
    two = Pool(np.arange(4), tuple("abcd"), names, names, ("s0", "s0", "s1", "s2"), "impression")
    signature = score_retrieval(Encoded("x", rows, rows), two, 10, 0)[0].signature
    assert (signature.section, signature.studies, signature.examples) == ("impression", 3, 4)


def test_two_films_of_a_study_share_its_text() -> None:
    rows = unit(np.random.default_rng(3).normal(size=(10, 8)))
    films = np.repeat(rows, 2, axis=0)
    names = tuple(f"p{number}" for number in range(10))
    of_films = tuple(np.repeat(names, 2).tolist())
    two = Pool(np.repeat(np.arange(10), 2), names, of_films, names, names, "findings")
    scores = score_retrieval(Encoded("x", films, rows), two, 50, 0)
    sizes = {(s.direction, s.queries, s.candidates) for s in scores}
    assert sizes == {("image to text", 20, 10), ("text to image", 10, 20)}
    assert by_name(scores, "text to image", "instance")["R@1"] == 1.0


def test_the_order_of_films_and_texts_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    films, texts = unit(rng.normal(size=(40, 6))), unit(rng.normal(size=(40, 6)))
    order = rng.permutation(40)
    plain = score_retrieval(Encoded("x", films, texts), pool(40), 10, 0)
    mixed = Pool(order, pool(40).keys, tuple(np.array(pool(40).image_subjects)[order]),
                 pool(40).text_subjects, pool(40).text_studies, "findings")  # fmt: skip
    moved = score_retrieval(Encoded("x", films[order], texts), mixed, 10, 0)
    values = [[item.interval.value for item in found] for found in (plain, moved)]
    assert values[0] == pytest.approx(values[1])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 30))
def test_recall_grows_with_depth_and_with_relevance(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    films, texts = unit(rng.normal(size=(count, 4))), unit(rng.normal(size=(count, 4)))
    keys = [f"text {rng.integers(0, 5)}" for _ in range(count)]
    scores = score_retrieval(Encoded("x", films, texts), pool(count, keys), 10, 0)
    for direction in ("image to text", "text to image"):
        own, equal = (by_name(scores, direction, policy) for policy in ("instance", "equal text"))
        for found in (own, equal):
            assert found["R@1"] <= found["R@5"] <= found["R@10"]  # type: ignore[operator]
        for metric in ("R@1", "R@5", "R@10", "MRR"):
            assert own[metric] <= equal[metric] + 1e-12  # type: ignore[operator]


def test_equal_seeds_give_equal_intervals() -> None:
    rng = np.random.default_rng(5)
    encoded = Encoded("x", unit(rng.normal(size=(50, 4))), unit(rng.normal(size=(50, 4))))
    one, two = (score_rows(score_retrieval(encoded, pool(50), 100, 7)) for _ in range(2))
    assert one == two


def test_the_median_rank_has_the_interval_of_its_resamples() -> None:
    rng = np.random.default_rng(6)
    encoded = Encoded("x", unit(rng.normal(size=(80, 4))), unit(rng.normal(size=(80, 4))))
    item = next(s for s in score_retrieval(encoded, pool(80), 300, 0) if s.metric == "median rank")
    assert item.interval.low is not None
    assert item.interval.high is not None
    assert item.interval.low <= (item.interval.value or 0) <= item.interval.high
    assert not item.higher_is_better


def test_centring_removes_what_all_of_one_side_share() -> None:
    rng = np.random.default_rng(7)
    meaning = rng.normal(size=(50, 8))
    films, texts = meaning + 40 * np.eye(8)[0], meaning - 40 * np.eye(8)[1]
    raw = score_retrieval(Encoded("x", unit(films), unit(texts)), pool(50), 10, 0)
    apart = score_retrieval(Encoded("x", centred(films), centred(texts)), pool(50), 10, 0)
    assert by_name(apart, "image to text", "instance")["R@1"] == 1.0
    assert (by_name(raw, "image to text", "instance")["R@1"] or 0) < 0.9
    assert not np.isnan(centred(np.ones((3, 4)))).any()


def test_every_number_is_tracked_with_a_signature() -> None:
    rows = unit(np.random.default_rng(8).normal(size=(10, 4)))
    scores = score_retrieval(Encoded("dual encoder", rows, rows), pool(10), 10, 0)
    assert tracked(scores)["retrieval/dual encoder/image to text/instance/R@5"] == 1.0
    assert len(tracked(scores)) == len(scores) == 40
    assert "pool 10" in scores[0].signature.level


# What a person reads.


def document() -> dict[str, object]:
    rng = np.random.default_rng(11)
    rows = unit(rng.normal(size=(40, 8)))
    scores = score_retrieval(Encoded("dual encoder", rows, rows), pool(40), 20, 0)
    scores += score_retrieval(Encoded("vlm", rows, rows[::-1]), pool(40), 20, 0)
    return {
        "recipe": "llava_rad",
        "scale": "<tiny>",
        "fingerprint": "abc",
        "replicas": ["mimic_cxr"],
        "scores": score_rows(scores),
        "zero_shot": {},
        "unavailable": {"zero-shot": "no dual encoder"},
    }


def test_the_terminal_says_how_far_above_chance() -> None:
    text = retrieval_text(document())
    assert "dual encoder, image to text, R@5" in text
    assert "8.0 times; blind 0.125: above both" in text
    assert "NOT ABOVE CHANCE" in text
    assert "unavailable: zero-shot: no dual encoder" in text


def test_the_page_has_every_encoder_both_ways_and_fetches_nothing() -> None:
    page = render_retrieval(document())
    assert len(groups(document())) == 12
    for words in ("dual encoder: image to text", "vlm: text to image", "no dual encoder"):
        assert words in page
    assert "&lt;tiny&gt;" in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    assert "Not a medical device" in page


# Precision.


def test_precision_is_the_share_of_relevant_ones_and_ties_go_against_it() -> None:
    similarity = np.array([[0.9, 0.8, 0.8, 0.1], [0.5, 0.5, 0.5, 0.5]])
    relevant = np.array([[True, True, False, True], [True, True, False, False]])
    assert precisions(similarity, relevant, 2).tolist() == [0.5, 0.0]
    assert precisions(similarity, relevant, 3).tolist() == [2 / 3, 1 / 3]


def test_precision_of_random_scores_is_its_chance() -> None:
    """0.2 for five classes of equal size, whatever the depth."""
    rng = np.random.default_rng(0)
    relevant = np.arange(200)[:, None] % 5 == np.arange(1000)[None] % 5
    assert chance_precision(relevant) == pytest.approx(0.2)
    similarity = rng.normal(size=relevant.shape)
    for depth in (5, 10, 50):
        found = precisions(similarity, relevant, depth).mean()
        assert found == pytest.approx(0.2, abs=4 * (0.16 / (200 * depth)) ** 0.5)


def test_a_blind_order_of_the_common_candidates_beats_chance_precision() -> None:
    relevant = np.zeros((10, 8), dtype=bool)
    relevant[:8, :4] = relevant[8:, 4] = True
    assert blind_precision(relevant, 4) == pytest.approx(0.8)
    assert blind_precision(relevant, 4) > chance_precision(relevant)
    everywhere = np.tile(np.r_[np.ones(4), np.zeros(4)], (10, 1))
    assert precisions(everywhere, relevant, 4).mean() == pytest.approx(0.8)


def test_precision_is_told_where_texts_may_be_equal() -> None:
    rng = np.random.default_rng(1)
    rows = unit(rng.normal(size=(60, 8)))
    texts = [f"text {number // 10}" for number in range(60)]
    scores = score_retrieval(Encoded("x", rows, rows), pool(60, texts), 20, 0)
    told = {(one.policy, one.metric) for one in scores if one.metric.startswith("P@")}
    assert told == {("equal text", "P@5"), ("equal text", "P@10")}
    ten = next(one for one in scores if one.metric == "P@10")
    assert (ten.chance, ten.ceiling) == (pytest.approx(1 / 6), 1.0)
