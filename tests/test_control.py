"""Runs that are cancelled, paused and resumed through Prefect's server, and what cannot be."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext
from prefect.exceptions import Abort, Pause, TerminationSignal
from prefect.states import Cancelled, Cancelling, Crashed, Paused, Running, Suspended
from prefect.testing.utilities import prefect_test_harness

from infra.errors import CxrError, InputError, Stopped
from infra.facts.open_runs import begin
from infra.store import Store
from infra.tracking_runs import this_process
from tasks.context import Order
from tasks.control import watch, work
from tasks.control.requests import ask_to_cancel, is_asked_to_cancel
from tasks.control.watch import heeding_requests, told_of_request
from tasks.monitor.recorded import run_head


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=300):
        yield


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(watch, "ASK_SECONDS", 0.1)


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def own_run() -> FlowRun:
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    return context.flow_run


def at_work(state: Path, ask: Callable[[UUID], Any], ids: list[UUID]) -> None:
    """A flow with a flow inside, at work until somebody asks it to stop."""

    @flow(name="inner")
    def inner() -> None:
        ids.append(own_run().id)
        with heeding_requests(own_run(), state):
            ask(ids[0])
            time.sleep(60)
            raise AssertionError("nothing stopped it")

    @flow(name="outer")
    def outer() -> None:
        ids.append(own_run().id)
        with heeding_requests(own_run(), state):
            inner()

    outer()


def state_of(client: SyncPrefectClient, run: UUID) -> tuple[StateType, str]:
    state = client.read_flow_run(run).state
    assert state is not None
    return state.type, state.name or ""


def propose(state: Any) -> Callable[[UUID], None]:
    def ask(run: UUID) -> None:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run, state, force=True)  # these have no deployment

    return ask


def test_a_run_that_the_server_has_cancelling_ends_cancelled(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    ids: list[UUID] = []
    with pytest.raises(Abort):
        at_work(tmp_path, propose(Cancelling()), ids)
    assert [state_of(client, run) for run in ids] == [(StateType.CANCELLED, "Cancelled")] * 2


@pytest.mark.parametrize(
    "state",
    [Suspended(timeout_seconds=600), Paused(timeout_seconds=600), Running(name=watch.PAUSING)],
)
def test_a_paused_run_leaves_and_holds_nothing(
    client: SyncPrefectClient, tmp_path: Path, state: Any
) -> None:
    ids: list[UUID] = []
    with pytest.raises(Pause):
        at_work(tmp_path, propose(state), ids)
    outer, inner = ids
    assert state_of(client, outer) == (StateType.PAUSED, "Suspended")
    assert state_of(client, inner)[0] is StateType.CANCELLED
    found = client.read_flow_run(outer).state
    assert found is not None
    assert found.state_details.pause_reschedule  # resumed, a worker starts it anew


def test_a_request_file_cancels_a_run_without_asking_a_server(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    ids: list[UUID] = []
    with pytest.raises(Abort):
        at_work(tmp_path, lambda run: ask_to_cancel(tmp_path, str(run)), ids)
    assert state_of(client, ids[0]) == (StateType.CANCELLED, "Cancelled")
    assert not is_asked_to_cancel(tmp_path, str(ids[0]))


def test_whatever_a_run_meets_on_its_way_out_it_ends_as_asked(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    """A trainer that leaves is a failed step, and a slot that was taken away a cancelled task."""
    ids: list[UUID] = []

    def fail(run: UUID) -> None:
        ask_to_cancel(tmp_path, str(run))
        try:
            time.sleep(60)
        except TerminationSignal:
            raise ValueError("a step fails") from None

    with pytest.raises(Abort):
        at_work(tmp_path, fail, ids)
    assert [state_of(client, run)[0] for run in ids] == [StateType.CANCELLED] * 2


def test_a_plain_signal_stays_what_prefect_makes_of_it(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    """A machine that goes down: 'attend' starts a crashed run again, and no cancelled one."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # or the signal would end the tests
    try:
        ids: list[UUID] = []
        with pytest.raises(TerminationSignal):
            at_work(tmp_path, lambda run: os.kill(os.getpid(), signal.SIGTERM), ids)
        assert state_of(client, ids[0]) == (StateType.CRASHED, "Crashed")
    finally:
        signal.signal(signal.SIGTERM, before)


def test_one_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(watch, "LAST_SECONDS", 0.1)
    killed: list[int] = []
    monkeypatch.setattr(watch.os, "kill", lambda pid, sign: killed.append(sign))

    @flow(name="deaf")
    def deaf() -> None:
        with heeding_requests(own_run(), tmp_path):
            ask_to_cancel(tmp_path, str(own_run().id))
            until = time.monotonic() + 20
            while signal.SIGKILL not in killed and time.monotonic() < until:
                time.sleep(0.05)

    deaf()
    assert killed == [signal.SIGTERM, signal.SIGKILL]


def test_a_flow_called_as_a_function_is_not_watched(tmp_path: Path) -> None:
    with heeding_requests(None, tmp_path):
        assert not [each for each in threading.enumerate() if each.name == "requests"]


def test_a_command_says_in_a_line_that_its_run_was_stopped() -> None:
    with (
        pytest.raises(Stopped, match="stopped on request; what is finished is kept"),
        told_of_request(),
    ):
        raise Abort("cancelled on request")


@flow(name="planned")
def planned() -> None:
    """Only its runs are wanted."""


def a_run(client: SyncPrefectClient, *, deployed: bool = True) -> FlowRun:
    if not deployed:
        return client.create_flow_run(planned, state=Running())
    flow_id = client.create_flow_from_name("planned")
    made = client.create_deployment(flow_id, f"d-{uuid4().hex}", entrypoint="tests.nowhere.planned")
    run = client.create_flow_run_from_deployment(made)
    client.set_flow_run_state(run.id, Running(), force=True)
    return client.read_flow_run(run.id)


def test_runs_are_found_by_id_by_its_beginning_and_by_name(client: SyncPrefectClient) -> None:
    run = a_run(client)
    assert work.find_run(client, str(run.id)).id == run.id
    assert work.find_run(client, str(run.id)[:23]).id == run.id
    assert work.find_run(client, run.name).id == run.id
    with pytest.raises(InputError, match="found no flow run 'nobody'"):
        work.find_run(client, "nobody")
    a_run(client)
    with pytest.raises(InputError, match=r"found \d+ flow runs ''"):
        work.find_run(client, "")


def leave_when_asked(run: UUID) -> None:
    """What a run's own process does."""
    with get_client(sync_client=True) as client:
        until = time.monotonic() + 20
        while state_of(client, run)[1] != watch.PAUSING and time.monotonic() < until:
            time.sleep(0.05)
        client.set_flow_run_state(run, Suspended(timeout_seconds=600), force=True)


def test_a_run_is_paused_and_resumed_and_cancelled_and_resumed(client: SyncPrefectClient) -> None:
    run = a_run(client)
    threading.Thread(target=leave_when_asked, args=(run.id,)).start()
    assert work.pause(client, run, 30).state == "Suspended"
    assert work.resume(client, client.read_flow_run(run.id)).state == "Resuming"
    assert work.cancel(client, client.read_flow_run(run.id), 5).state == "Cancelled"
    assert work.resume(client, client.read_flow_run(run.id)).state == "Resuming"
    state = client.read_flow_run(run.id).state
    assert state is not None
    assert state.state_details.scheduled_time is not None
    assert state.state_details.scheduled_time > datetime.now(UTC)


def test_a_crashed_run_that_is_cancelled_is_not_started_again(client: SyncPrefectClient) -> None:
    run = a_run(client)
    client.set_flow_run_state(run.id, Crashed(), force=True)
    assert work.cancel(client, client.read_flow_run(run.id), 0).state == "Cancelled"


def test_what_cannot_be_done_is_one_line(client: SyncPrefectClient) -> None:
    by_hand, running = a_run(client, deployed=False), a_run(client)
    with pytest.raises(InputError, match="which a command started and no worker could start again"):
        work.pause(client, by_hand, 1)
    with pytest.raises(InputError, match="give the same command again"):
        work.resume(client, by_hand)
    with pytest.raises(InputError, match="in state Running, to be resumed"):
        work.resume(client, running)
    with pytest.raises(CxrError, match="is still Cancelling after 0 s; is a worker up"):
        work.cancel(client, running, 0)
    waiting = a_run(client)
    with pytest.raises(CxrError, match="is still Pausing after 0 s; is a worker up"):
        work.pause(client, waiting, 0)
    client.set_flow_run_state(waiting.id, Cancelled(), force=True)
    with pytest.raises(InputError, match="in state Cancelled, to be cancelled"):
        work.cancel(client, client.read_flow_run(waiting.id), 1)
    with pytest.raises(InputError, match="in state Cancelled, to be paused"):
        work.pause(client, client.read_flow_run(waiting.id), 1)


def test_a_commands_own_run_is_found_by_its_facts(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"), tmp_path / "state")
    with pytest.raises(InputError, match=r"found no run 'a' at work in .*; expected one of: none"):
        work.cancel_here(store, "a", 0)
    head = run_head("abc-1", "pipeline", Order(), "train", None)
    begin(store, {**head, "started_at": datetime.now(UTC)})
    with pytest.raises(CxrError, match="run abc-1 is still at work after 0 s"):
        work.cancel_here(store, "abc", 0)
    assert this_process()  # which is alive, and keeps the run
    assert is_asked_to_cancel(store.state, "abc-1")
