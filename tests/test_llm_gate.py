"""Turns at the gate: sources alternate, retries stand aside, quotas hold up only their model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from llm_world import GOOD, QUICK, Reply, Script, question, scripted_server

from infra.llm import AnswerStatus, Client
from infra.llm.gate import Gate
from infra.llm.quota import KnownLimits, Quota

SLOW = KnownLimits(requests_per_minute=1.0)


def run_gate(
    folder: Path,
    slots: int,
    work: Callable[[Gate], Coroutine[Any, Any, None]],
    known: dict[str, KnownLimits] | None = None,
) -> None:
    async def main() -> None:
        gate = Gate(slots, lambda model: Quota(folder, model, (known or {}).get(model)))
        try:
            await asyncio.wait_for(work(gate), 20)
        finally:
            gate.close()

    asyncio.run(main())


async def pass_through(gate: Gate, source: str, model: str, order: list[str]) -> None:
    turn = await gate.enter(source, model, 1.0)
    order.append(source)
    await asyncio.sleep(0)
    gate.served(turn, 1.0)


def test_sources_take_turns(tmp_path: Path) -> None:
    order: list[str] = []

    async def work(gate: Gate) -> None:
        names = ["large"] * 20 + ["small"] * 4 + ["third"] * 2
        await asyncio.gather(*(pass_through(gate, name, "m", order) for name in names))

    run_gate(tmp_path, 1, work)
    assert len(order) == 26
    assert order[:9] == ["large", *["large", "small", "third"] * 2, "large", "small"]


def test_never_more_are_inside_than_there_are_slots(tmp_path: Path) -> None:
    inside = [0, 0]

    async def one(gate: Gate) -> None:
        turn = await gate.enter("a", "m", 1.0)
        inside[0] += 1
        inside[1] = max(inside)
        await asyncio.sleep(0.001)
        inside[0] -= 1
        gate.served(turn, 1.0)

    async def work(gate: Gate) -> None:
        await asyncio.gather(*(one(gate) for _ in range(50)))

    run_gate(tmp_path, 3, work)
    assert inside == [0, 3]


def test_a_model_without_quota_does_not_hold_up_another(tmp_path: Path) -> None:
    order: list[str] = []

    async def work(gate: Gate) -> None:
        await pass_through(gate, "first", "slow", order)
        held = asyncio.ensure_future(pass_through(gate, "held", "slow", order))
        await asyncio.sleep(0)
        await asyncio.gather(*(pass_through(gate, "free", "quick", order) for _ in range(5)))
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)

    run_gate(tmp_path, 2, work, {"slow": SLOW})
    assert order == ["first", *["free"] * 5]


def test_who_gives_up_leaves_the_line_and_the_slot(tmp_path: Path) -> None:
    order: list[str] = []

    async def work(gate: Gate) -> None:
        turn = await gate.enter("a", "m", 1.0)
        waiting = asyncio.ensure_future(gate.enter("b", "m", 1.0))
        await asyncio.sleep(0)
        gate.served(turn, 1.0)  # the turn is b's now, who is not there any more
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await pass_through(gate, "c", "m", order)

    run_gate(tmp_path, 1, work)
    assert order == ["c"]


def test_what_is_tried_again_goes_first(tmp_path: Path) -> None:
    order: list[str] = []

    async def retried(gate: Gate) -> None:
        turn = await gate.enter("a", "m", 1.0, again=True)
        order.append("again")
        gate.served(turn, 1.0)

    async def work(gate: Gate) -> None:
        turn = await gate.enter("a", "m", 1.0)
        tasks = [pass_through(gate, "new", "m", order) for _ in range(3)]
        running = asyncio.gather(*tasks, retried(gate))
        await asyncio.sleep(0)
        gate.served(turn, 1.0)
        await running

    run_gate(tmp_path, 1, work)
    assert sorted(order) == ["again", "new", "new", "new"]


def test_refusals_without_end_are_given_up_by_time_and_not_by_tries(tmp_path: Path) -> None:
    script = Script(lambda *_: (429, {"error": {}}))
    limits = replace(QUICK, attempts=1, patience_s=0.4)
    with scripted_server(script) as endpoint, Client(endpoint, tmp_path, limits) as client:
        (answer,) = client.complete_many([question("a")])
    assert (answer.status, answer.detail) == (AnswerStatus.UNREACHED, "rate-limited")
    assert len(script.bodies) > 2


def test_one_request_that_is_refused_again_and_again_does_not_stop_the_others(
    tmp_path: Path,
) -> None:
    seen: list[str] = []

    def reply(_: int, body: dict[str, Any]) -> Reply:
        text = body["messages"][0]["content"]
        seen.append(text)
        return (503, {"error": {}}) if text == "bad" and seen.count("bad") < 4 else (200, GOOD)

    limits = replace(QUICK, concurrency=1, first_wait_s=0.05, longest_wait_s=0.05)
    with scripted_server(Script(reply)) as endpoint, Client(endpoint, tmp_path, limits) as client:
        answers = client.complete_many([question(text) for text in ("bad", *"abcdefgh")])
    assert {answer.status for answer in answers} == {AnswerStatus.OK}
    assert seen[1] != "bad", "others go on while the refused one waits"


def test_a_large_source_does_not_keep_a_small_one_waiting(tmp_path: Path) -> None:
    seen: list[str] = []
    begun = threading.Event()

    def reply(index: int, body: dict[str, Any]) -> Reply:
        seen.append(body["messages"][0]["content"])
        if index > 20:
            begun.set()
        return 200, GOOD

    limits = replace(QUICK, concurrency=2, requests_per_minute=60.0 * 100)
    with scripted_server(Script(reply)) as endpoint, Client(endpoint, tmp_path, limits) as client:
        large = [replace(question(f"large {n}"), source="large") for n in range(300)]
        thread = threading.Thread(target=client.complete_many, args=(large,))
        thread.start()
        begun.wait(20)
        small = [replace(question(f"small {n}"), source="small") for n in range(5)]
        client.complete_many(small)
        ended = len(seen)
        thread.join()
    assert ended < 150, "a small source went through amid the large one"


@pytest.mark.parametrize(
    ("told", "rate"),
    [("120", 2.0), ("0", None), ("many", None), ("-5", None), ("inf", None), ("nan", None)],
)
def test_the_limit_that_the_server_states_is_kept_to(
    told: str, rate: float | None, tmp_path: Path
) -> None:
    script = Script(lambda *_: (200, GOOD, {"x-ratelimit-limit-requests": told}))
    with scripted_server(script) as endpoint, Client(endpoint, tmp_path, QUICK) as client:
        client.complete_many([question("a")])
        found = client.quota_of("scripted").snapshot()["rate"]
    assert found == (float("inf") if rate is None else pytest.approx(rate))
