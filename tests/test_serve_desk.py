"""Places, and what becomes of asks when children come and go; children here speak by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from infra.errors import InputError
from infra.served import Ask, Cancel, Facts, Told
from infra.tokens import Role, TokenFile, add_token
from tasks.serve.access import Access, is_loopback
from tasks.serve.bodies import Held, Upload
from tasks.serve.desk import Desk, Full, NotReady
from tasks.serve.refused import Refused

REPORT = Ask(0, "report")


@dataclass(eq=False)
class ByHand:
    """A child whose answers the test gives."""

    slots: int = 2
    sent: list[Ask | Cancel] = field(default_factory=list)
    on_told: Callable[[ByHand, Told], None] | None = None

    @property
    def facts(self) -> Facts:
        return Facts(False, "cpu", self.slots)

    def send(self, message: Ask | Cancel) -> None:
        self.sent.append(message)

    def tell(self, told: Told) -> None:
        assert self.on_told is not None
        self.on_told(self, told)

    @property
    def asked(self) -> list[int]:
        return [each.number for each in self.sent if isinstance(each, Ask)]

    @property
    def cancelled(self) -> list[int]:
        return [each.number for each in self.sent if isinstance(each, Cancel)]


def with_desk(work: Callable[[Desk, ByHand], Coroutine[Any, Any, None]], waiting: int = 1) -> None:
    """In an event loop, a desk with a child."""

    async def all_of_it() -> None:
        desk, child = Desk(waiting), ByHand()
        desk.use(child)  # type: ignore[arg-type]
        await work(desk, child)
        assert desk.places == 0, "every place is free at the end"

    asyncio.run(all_of_it())


async def last(place: Any) -> Told:
    return [told async for told in place.told()][-1]


def test_an_ask_is_sent_answered_and_gone() -> None:
    async def work(desk: Desk, child: ByHand) -> None:
        with desk.place(REPORT) as place:
            assert child.asked == [0]
            child.tell(Told(0, "text", "There"))
            child.tell(Told(0, "done", "There is."))
            assert [told.text async for told in place.told()] == ["There", "There is."]
            assert desk.places == 0, "its place is free before its client has read it"
        assert child.cancelled == []

    with_desk(work)


def test_one_more_than_the_places_is_told_to_come_again() -> None:
    async def work(desk: Desk, child: ByHand) -> None:
        with desk.place(REPORT), desk.place(REPORT), desk.place(REPORT):
            assert (desk.places, desk.most) == (3, 3)
            with pytest.raises(Full) as full, desk.place(REPORT):
                pass
            assert full.value.after == 1
            child.tell(Told(1, "done"))
            with desk.place(REPORT):
                assert child.asked == [0, 1, 2, 3]

    with_desk(work)


def test_how_long_to_wait_follows_the_pace() -> None:
    async def work(desk: Desk, child: ByHand) -> None:
        for _ in range(3):
            with desk.place(REPORT) as place:
                child.tell(Told(place.ask.number, "done"))
        with desk.place(REPORT), desk.place(REPORT), desk.place(REPORT):
            assert desk.retry_after() == 1
        desk._ended.clear()
        desk._ended.append(time.monotonic() - 25)
        with desk.place(REPORT), desk.place(REPORT), desk.place(REPORT):
            assert desk.retry_after() == 60, "no client waits longer by itself"

    with_desk(work)


def test_who_leaves_is_cancelled_with_the_child() -> None:
    async def work(desk: Desk, child: ByHand) -> None:
        with desk.place(REPORT):
            pass
        assert child.cancelled == [0]
        child.tell(Told(0, "done", "too late"))

    with_desk(work)


def test_the_asks_of_a_dead_child_are_asked_again_once() -> None:
    async def work(desk: Desk, child: ByHand) -> None:
        second, third = ByHand(), ByHand()
        with desk.place(REPORT) as place:
            assert desk.lose(child) == 1  # type: ignore[arg-type]
            assert desk.child is None
            child.tell(Told(0, "done", "of a dead child"))
            desk.use(second)  # type: ignore[arg-type]
            assert second.asked == [0]
            desk.lose(second)  # type: ignore[arg-type]
            desk.use(third)  # type: ignore[arg-type]
            assert third.asked == []
            told = await last(place)
            assert (told.event, told.reason) == ("failed", "lost")

    with_desk(work)


def test_an_old_childs_asks_go_to_the_new_one_when_it_dies() -> None:
    async def work(desk: Desk, old: ByHand) -> None:
        new = ByHand()
        with desk.place(REPORT) as first:
            desk.use(new)  # type: ignore[arg-type]
            with desk.place(REPORT) as second:
                assert (old.asked, new.asked) == ([0], [1])
                assert desk.asks_of(old) == desk.asks_of(new) == 1  # type: ignore[arg-type]
                desk.lose(old)  # type: ignore[arg-type]
                assert new.asked == [1, 0]
                assert desk.child is new
                new.tell(Told(0, "done", "first"))
                new.tell(Told(1, "done", "second"))
                assert [(await last(each)).text for each in (first, second)] == ["first", "second"]

    with_desk(work)


def test_a_swap_leaves_those_in_work_where_they_are() -> None:
    async def work(desk: Desk, old: ByHand) -> None:
        with desk.place(REPORT) as place:
            desk.use(ByHand(slots=5))  # type: ignore[arg-type]
            old.tell(Told(0, "done", "by the old one"))
            assert (await last(place)).text == "by the old one"
            assert place.child is old
            assert desk.most == 6

    with_desk(work)


def test_without_a_child_asks_wait_until_none_can_be_started() -> None:
    async def work(desk: Desk, child: ByHand) -> None:
        desk.lose(child)  # type: ignore[arg-type]
        with desk.place(REPORT) as place:
            desk.give_up()
            assert (await last(place)).reason == "lost"
            with pytest.raises(NotReady), desk.place(REPORT):
                pass
            with pytest.raises(NotReady):
                desk.require_place()
        again = ByHand()
        desk.use(again)  # type: ignore[arg-type]
        with desk.place(REPORT) as place:
            again.tell(Told(place.ask.number, "done", "again"))
            assert (await last(place)).text == "again"

    with_desk(work)


def test_bodies_are_held_until_their_answers_are_given() -> None:
    held = Held(10)
    with held.room(6):
        with pytest.raises(Refused) as full, held.room(5):
            pass
        assert (full.value.status, full.value.headers()) == (429, {"Retry-After": "1"})
        with held.room(4):
            assert held.now == 10
    assert held.now == 0


def test_a_blank_question_asks_for_findings() -> None:
    told = Upload([b"film"], {"question": " \n", "indication": " Cough. "})
    assert told.ask() == Ask(0, "report", indication="Cough.", films=(b"film",))


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.7", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_beyond_this_machine_tokens_are_needed(tmp_path: Any, host: str, here: bool) -> None:
    assert is_loopback(host) is here
    if here:
        assert Access(host, None).tokens is None
        return
    with pytest.raises(InputError, match="make one with 'cxr token'"):
        Access(host, None)
    add_token(tmp_path / "tokens.toml", "one", Role.VIEWER)
    assert Access(host, TokenFile(tmp_path / "tokens.toml")).tokens is not None
