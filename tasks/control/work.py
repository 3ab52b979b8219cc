"""Cancel, pause and resume a run: by Prefect's server, or by a file where a command runs alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling, Running, Scheduled

from infra.errors import CxrError, InputError
from infra.facts.open_runs import OpenRun, open_runs
from infra.store import Store
from infra.tracking_runs import is_gone
from tasks.control.requests import ask_to_cancel
from tasks.control.watch import LAST_SECONDS, PAUSING, WORKERS_SECONDS, set_state

PATIENCE_SECONDS: Final = LAST_SECONDS + WORKERS_SECONDS
"""Within it a run is gone that was asked to be."""
_LOOK_SECONDS: Final = 1.0
_RECENT: Final = 200  # runs among which the beginning of an id is looked for: one answer's most
_AGAIN: Final = (StateType.PAUSED, StateType.CANCELLED, StateType.CRASHED, StateType.FAILED)
_APART_SECONDS: Final = 40.0
"""Our choice: Prefect's worker takes a run 10 s ahead, and a process is gone within the rest."""


@dataclass(frozen=True)
class Done:
    """What became of a run.

    Args:
        state: Prefect's name of its state.
    """

    run_id: str
    name: str
    state: str


def find_run(client: SyncPrefectClient, told: str) -> FlowRun:
    """The flow run with an id, the only recent one whose id begins so, or the newest of that name.

    Raises:
        InputError: there is none, or more than one.
    """
    try:
        return client.read_flow_run(UUID(told))
    except (ValueError, ObjectNotFound):
        pass
    newest = FlowRunSort.EXPECTED_START_TIME_DESC
    named = FlowRunFilter(name=FlowRunFilterName(any_=[told]))
    found = client.read_flow_runs(flow_run_filter=named, sort=newest, limit=1)
    recent = [] if found else client.read_flow_runs(sort=newest, limit=_RECENT)
    found += [run for run in recent if str(run.id).startswith(told)]
    if len(found) != 1:
        raise InputError(
            f"{len(found) or 'no'} flow run{'s' * (len(found) > 1)} '{told}'",
            "an id, the beginning of one run's id, or a name",
            "see Prefect's pages or 'prefect flow-run ls'",
        )
    return found[0]


def cancel(client: SyncPrefectClient, run: FlowRun, patience_seconds: float) -> Done:
    """Have a run stop after a checkpoint, and wait until it has.

    Raises:
        InputError: it has ended.
        CxrError: it goes on all the same.
    """
    if run.state is not None and run.state.type is StateType.CRASHED:  # 'attend' would go on
        set_state(client, run.id, Cancelled(message="'cxr cancel'"))
        return _done(client.read_flow_run(run.id))
    if run.state is not None and run.state.is_final():
        raise _refused(run, "cancelled", "one that goes on")
    answer: OrchestrationResult[Any] = client.set_flow_run_state(
        run.id, Cancelling(message="'cxr cancel'")
    )
    now = client.read_flow_run(run.id)
    at_once = now.state is not None and now.state.type is StateType.CANCELLED  # not begun yet
    if answer.status is not SetStateStatus.ACCEPT and not at_once:
        raise _refused(now, "cancelled", "one that goes on")
    return _settled(client, run.id, lambda state: state.is_final(), patience_seconds)


def pause(client: SyncPrefectClient, run: FlowRun, patience_seconds: float) -> Done:
    """Have a run stop after a checkpoint so that ``resume`` starts it again; wait until it has.

    Raises:
        InputError: it is not at work, or nothing could start it again.
        CxrError: it goes on all the same.
    """
    if run.deployment_id is None:
        raise InputError(
            f"run '{run.name}', which a command started and no worker could start again",
            "a run of a deployment",
            "use 'cxr cancel'; the same command goes on from there",
        )
    if run.state is None or run.state.type is not StateType.RUNNING:
        raise _refused(run, "paused", "one that runs")
    set_state(client, run.id, Running(name=PAUSING, message="'cxr pause'"))
    return _settled(client, run.id, lambda state: state.is_paused(), patience_seconds)


def resume(client: SyncPrefectClient, run: FlowRun) -> Done:
    """Have a worker take a run again that was paused or cancelled, that crashed or failed.

    Raises:
        InputError: it goes on, is done, or belongs to no deployment.
    """
    state = run.state
    if run.deployment_id is None:
        raise InputError(
            f"run '{run.name}', which a command started",
            "a run of a deployment",
            "give the same command again: it goes on from there",
        )
    if state is None or state.type not in _AGAIN:
        raise _refused(run, "resumed", "one that was paused or cancelled, crashed or failed")
    # A worker that is given a run whose process it still sees fails over it.
    at = max(datetime.now(UTC), state.timestamp + timedelta(seconds=_APART_SECONDS))
    again: Any = Scheduled(name="Resuming", scheduled_time=at, message="'cxr resume'")
    set_state(client, run.id, again)
    return _done(client.read_flow_run(run.id))


def _refused(run: FlowRun, verb: str, expected: str) -> InputError:
    state = "without a state" if run.state is None else f"in state {run.state.name}"
    return InputError(f"run '{run.name}' {state}, to be {verb}", expected, "name another run")


def _settled(
    client: SyncPrefectClient, run_id: UUID, ended: Callable[[State[Any]], bool], patience: float
) -> Done:
    """Wait for a state that the run's process brings about when it leaves."""
    until = time.monotonic() + patience
    while True:
        run = client.read_flow_run(run_id)
        if run.state is not None and ended(run.state):
            return _done(run)
        if time.monotonic() > until:
            raise CxrError(
                f"run '{run.name}' is still {run.state.name if run.state else 'nowhere'} after "
                f"{patience:.0f} s; is a worker up that can reach its process?"
            )
        time.sleep(_LOOK_SECONDS)


def _done(run: FlowRun) -> Done:
    return Done(str(run.id), run.name, run.state.name or "" if run.state else "")


def cancel_here(store: Store, told: str, patience_seconds: float) -> Done:
    """Cancel a command's own run of this state folder, which has no server, and wait until it has
    ended.

    Raises:
        InputError: no living run of this machine is called so.
        CxrError: it goes on all the same.
    """
    run = _living(store, told)
    run_id = run.run["run_id"]
    ask_to_cancel(store.state, run_id)
    until = time.monotonic() + patience_seconds
    while not is_gone(run.owner):
        if time.monotonic() > until:
            raise CxrError(f"run {run_id} is still at work after {patience_seconds:.0f} s")
        time.sleep(_LOOK_SECONDS)
    return Done(run_id, f"{run.run['flow']} of {run.run['recipe']}", "Cancelled")


def _living(store: Store, told: str) -> OpenRun:
    alive = [
        run
        for run in open_runs(store)
        if run.state_folder == str(store.state) and run.end is None and not is_gone(run.owner)
    ]
    found = [run for run in alive if run.run["run_id"].startswith(told)]
    if len(found) != 1:
        known = ", ".join(run.run["run_id"] for run in alive) or "none"
        raise InputError(
            f"{len(found) or 'no'} run '{told}' at work in {store.root}",
            f"one of: {known}",
            "give its id or the beginning of it; set PREFECT_API_URL for runs of a server",
        )
    return found[0]
