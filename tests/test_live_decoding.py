"""A decoder that requests join and leave at any step: every answer is the one it gets alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from random import Random

import pytest
import torch
from test_decoding import SHAPE, TRAFFIC, alone, model, reading, requests

from models.decoding import Decoder, Request
from models.live_decoding import LiveDecoder
from models.search import SearchRule
from tests.bench.generation_world import END, GREEDY, ask_alone, draw_requests

__all__ = ["reading"]

OPENING = 5 + 16  # tokens of a system line and of an image
TAIL = 7 + 30  # the longest question and the longest answer


def live(slots: int = 3, kept: int = 2, rule: SearchRule = GREEDY) -> LiveDecoder:
    decoder = Decoder(model(), rule, slots)
    return LiveDecoder(decoder, kept=kept, opening_tokens=OPENING, tail_tokens=TAIL)


def drain(decoder: LiveDecoder) -> dict[int, tuple[int, ...]]:
    """Step until nobody is left."""
    found = {}
    while decoder.waiting + decoder.live:
        found |= {answer.number: answer.ids for answer in decoder.step()}
    return found


def ask_over_time(
    decoder: LiveDecoder, asked: Sequence[Request], seed: int, rule: SearchRule = GREEDY
) -> list[tuple[int, ...]]:
    """Requests that come at random steps."""
    random, waiting = Random(seed), list(enumerate(asked))
    random.shuffle(waiting)
    found: dict[int, tuple[int, ...]] = {}
    while waiting or decoder.waiting + decoder.live:
        for _ in range(random.choice((0, 0, 1, 3))):
            if waiting:
                number, request = waiting.pop()
                assert decoder.add(number, request, rule)
        found |= {answer.number: answer.ids for answer in decoder.step()}
    return [found[number] for number in range(len(asked))]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("slots", "kept"), [(1, 0), (3, 0), (3, 2), (8, 4)])
def test_whoever_comes_when_is_answered_as_alone(
    slots: int, kept: int, seed: int, reading: str
) -> None:
    assert ask_over_time(live(slots, kept), requests(), seed) == alone()


def test_one_decoder_serves_for_ever_with_places_for_a_few() -> None:
    decoder = live(3, 1)
    for seed in range(3):
        assert ask_over_time(decoder, requests(), seed) == alone()
    batch = decoder._batch
    assert (batch.live, len(batch.waiting), dict(batch.left)) == ([], 0, {})
    assert sorted([*batch.free, *batch.openings.values()]) == [0, 1, 2, 3]
    assert set(batch.unused) == set(batch.openings)


def test_beams_come_and_go_too() -> None:
    rule = SearchRule(END, 3)
    assert ask_over_time(live(2, 1, rule), requests(), 5, rule) == alone(3)


@cache
def alone_by(rule: SearchRule) -> list[tuple[int, ...]]:
    return ask_alone(model(), requests(), rule)


def test_each_is_searched_by_its_own_rule() -> None:
    """A report's shortest length beside a question's none, in one batch."""
    rules = [GREEDY, replace(GREEDY, least=6), replace(GREEDY, repetition_penalty=1.7)]
    asked = [replace(request, most=max(request.most, 8)) for request in requests()]
    decoder = live(4)
    for number, request in enumerate(asked):
        assert decoder.add(number, request, rules[number % 3])
    found = drain(decoder)
    for number, request in enumerate(asked):
        single = live(1, 0)
        single.add(0, request, rules[number % 3])
        assert found[number] == drain(single)[0]
    assert min(len(found[number]) for number in range(1, len(asked), 3)) >= 7
    assert min(len(found[number]) for number in range(0, len(asked), 3)) < 7


def test_who_is_dropped_leaves_at_once_and_others_do_not_notice() -> None:
    decoder = live(3, 2)
    for number, request in enumerate(requests()):
        decoder.add(number, request, GREEDY)
    found = {answer.number: answer.ids for answer in decoder.step()}
    going = next(number for number, _ in decoder.so_far())
    waiting = [asked.number for asked in decoder._batch.waiting][2]
    before = decoder.waiting, decoder.live
    assert decoder.drop(going)
    assert decoder.drop(waiting)
    assert (decoder.waiting, decoder.live) == (before[0] - 1, before[1] - 1)
    assert not decoder.drop(going), "it is not here any more"
    found |= drain(decoder)
    expected = dict(enumerate(alone()))
    for number in (going, waiting):
        assert number not in found
        del expected[number]
    assert found == expected


def test_a_newcomer_does_not_wait_for_a_longer_answer() -> None:
    """It ends while the long one goes on, though that came first."""
    long, short = requests()[0], requests()[1]
    never = replace(GREEDY, least=30)
    decoder = live(2)
    decoder.add(0, replace(long, most=30), never)
    for _ in range(5):
        assert decoder.step() == []
    decoder.add(1, replace(short, most=2), GREEDY)
    first = [answer.number for _ in range(3) for answer in decoder.step()]
    assert first == [1]
    assert list(drain(decoder)) == [0]


def test_newcomers_enter_a_few_at_a_step() -> None:
    decoder = live(8)
    for number, request in enumerate(draw_requests(SHAPE, replace(TRAFFIC, images=8, controls=1))):
        decoder.add(number, replace(request, most=20), replace(GREEDY, least=20))
    counts = []
    for _ in range(3):
        decoder.step()
        counts.append(decoder.live)
    assert counts == [4, 8, 8]


def test_an_image_that_was_just_shown_is_not_read_again() -> None:
    decoder = live(2, 2)
    first, second, third = requests()[:3]
    for number, request in enumerate([first, first, second, first, third]):
        decoder.add(number, request, GREEDY)
        drain(decoder)
    assert decoder.decoder.work.openings == 3
    for number, request in enumerate([*requests()[3:6], first]):
        decoder.add(number, request, GREEDY)
        drain(decoder)
    assert decoder.decoder.work.openings == 7, "it was forgotten for newer ones"


def test_the_text_so_far_grows_to_the_answer() -> None:
    decoder = live(1)
    decoder.add(7, requests()[0], GREEDY)
    seen: list[list[int]] = []
    while decoder.waiting + decoder.live:
        ended = decoder.step()
        seen += [list(ids) for number, ids in decoder.so_far() if number == 7]
    whole = list(ended[0].ids)
    assert seen == [whole[: len(ids)] for ids in seen]
    assert [len(ids) for ids in seen] == sorted({len(ids) for ids in seen})


@pytest.mark.parametrize("change", ["opening", "question", "answer"])
def test_what_has_no_room_is_told_apart(change: str) -> None:
    decoder, request = live(), requests()[0]
    if change == "opening":
        request = replace(request, prompt=(1, *request.prompt))
    elif change == "question":
        request = replace(request, prompt=request.prompt + (5,) * TAIL)
    else:
        request = replace(request, most=TAIL)
    assert not decoder.add(0, request, GREEDY)
    assert (decoder.waiting, decoder.live) == (0, 0)


def test_text_without_a_film_is_answered_beside_films() -> None:
    image = SHAPE.vocabulary - 1
    bare = [
        replace(each, prompt=tuple(token for token in each.prompt if token != image),
                pixels=each.pixels[:0])
        for each in requests()[:3]
    ]  # fmt: skip
    decoder = live(4)
    for number, request in enumerate([*bare, *requests()[:3]]):
        assert decoder.add(number, request, GREEDY)
    found = drain(decoder)
    single = [[each.ids for some in Decoder(model(), GREEDY, 1).run([one]) for each in some]
              for one in bare]  # fmt: skip
    assert [[found[number]] for number in range(3)] == single
    assert [found[number] for number in range(3, 6)] == alone()[:3]


def test_nothing_learns() -> None:
    decoder = live()
    decoder.add(0, requests()[0], GREEDY)
    decoder.step()
    assert not any(keys.requires_grad for keys in decoder._batch.cache.tail_keys)
    assert torch.is_grad_enabled()
