"""Beam search by hand: which beams go on, which answers win, which rows are copied."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from models.search import BeamSearch, Search, SearchRule, choose, new_search

END = 0


def beams(most: int = 5, **rule: object) -> BeamSearch:
    found = new_search(SearchRule(END, beams=2, **rule), most)  # type: ignore[arg-type]
    assert isinstance(found, BeamSearch)
    return found


def extend(search: BeamSearch, *candidates: tuple[float, int, int]) -> None:
    search.extend([(np.float32(score), row, token) for score, row, token in candidates])


def test_greedy_ends_at_the_end_token_and_keeps_it() -> None:
    search = new_search(SearchRule(END), 9)
    for token in (5, 7, END):
        assert not search.done
        search.take(token)
    assert (search.done, search.ids) == (True, [5, 7, END])


def test_greedy_ends_at_its_length() -> None:
    search = Search(SearchRule(END), 2)
    search.take(5)
    search.take(6)
    assert (search.done, search.ids) == (True, [5, 6])


def test_choose_takes_each_rows_best() -> None:
    searches = [new_search(SearchRule(END), 3) for _ in range(2)]
    choose(torch.tensor([[0.0, 3.0, 1.0], [0.0, 1.0, 3.0]]), searches)
    assert [search.tokens for search in searches] == [[1], [2]]


def test_both_children_of_a_beam_need_its_past() -> None:
    search = beams()
    extend(search, (-1, 0, 4), (-2, 0, 5), (-3, 0, 6), (-4, 0, 7))
    assert search.copies == [(0, 1)]
    assert search.tokens == [4, 5]
    extend(search, (-2.5, 1, 6), (-2.6, 1, 7), (-2.7, 0, 6), (-3, 0, 7))
    assert search.copies == [(1, 0)]  # beam 0 ended without a child: its row is free
    assert search.tokens == [7, 6]  # in the rows' order


def test_one_child_each_copies_nothing() -> None:
    search = beams()
    extend(search, (-1, 0, 4), (-2, 0, 5), (-3, 0, 6), (-4, 0, 7))
    extend(search, (-2.5, 1, 6), (-2.6, 0, 7), (-2.7, 0, 6), (-3, 1, 7))
    assert search.copies == []
    assert search.tokens == [7, 6]


def test_an_end_below_the_best_k_is_no_answer() -> None:
    search = beams()
    extend(search, (-1, 0, 4), (-2, 0, 5), (-3, 0, END), (-4, 0, 7))
    assert search.finished == []


def test_the_best_score_per_token_wins() -> None:
    search = beams(most=3)
    extend(search, (-1.0, 0, END), (-1.2, 0, 4), (-1.5, 0, 5), (-9, 0, 6))
    extend(search, (-1.5, 0, END), (-2.5, 1, 5), (-2.6, 1, 6), (-9, 0, 6))
    assert search.done  # two have ended, at -1 and -0.75; the best of the others is at -1.25
    assert search.ids == [4, END]


def test_no_penalty_compares_sums() -> None:
    search = beams(most=3, length_penalty=0.0)
    extend(search, (-1.0, 0, END), (-1.2, 0, 4), (-1.5, 0, 5), (-9, 0, 6))
    extend(search, (-1.5, 0, END), (-2.5, 1, 5), (-2.6, 1, 6), (-9, 0, 6))
    assert search.ids == [END]


def test_it_goes_on_while_an_unfinished_one_may_win() -> None:
    candidates = [
        [(-3.0, 0, END), (-3.1, 0, 4), (-3.2, 0, 5), (-9, 0, 6)],
        [(-3.3, 0, 4), (-7.0, 0, END), (-7.1, 1, 4), (-7.2, 1, 5)],
    ]
    patient, hasty = beams(), beams(stop_early=True)
    for search in (patient, hasty):
        for some in candidates:
            extend(search, *some)
    assert (patient.done, hasty.done) == (False, True)
    assert hasty.ids == [END]


@pytest.mark.parametrize("seed", range(4))
def test_wide_beams_find_the_best_of_all_answers(seed: int) -> None:
    """With as many beams as answers, and no end, nothing is pruned."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(2, 5, 5, generator=generator) * 2  # logits by step and last token
    steps[..., END] = -1e4
    search = BeamSearch(SearchRule(END, beams=16), 2)
    choose(steps[0, :1], [search])
    last = torch.tensor(search.tokens)
    choose(steps[1][last], [search])
    logs = [steps[0, 0].log_softmax(-1), steps[1].log_softmax(-1)]
    best = max(
        itertools.product(range(1, 5), repeat=2),
        key=lambda ids: float(logs[0][ids[0]] + logs[1][ids[0], ids[1]]),
    )
    assert (search.done, tuple(search.ids)) == (True, best)


def test_what_is_never_chosen_keeps_its_share() -> None:
    """Hugging Face takes the softmax first: the others' probabilities stay what they were."""
    logits = torch.tensor([[0.0, 3.0, 1.0, 2.0]])
    expected = logits.log_softmax(-1)[0]
    greedy = new_search(SearchRule(END, never=(1,)), 3)
    choose(logits.clone(), [greedy])
    assert greedy.tokens == [3]
    search = beams(never=(1,))
    choose(logits.clone(), [search])
    assert search.tokens == [3, 2]
    assert [float(beam.score) for beam in search.running] == [
        float(expected[3]),
        float(expected[2]),
    ]
