"""Flow runs as Prefect's server knows them, and how one is started again."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import DeploymentSort, FlowRunSort
from prefect.events.filters import (
    EventFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventOrder,
    EventResourceFilter,
)
from prefect.states import AwaitingRetry, Crashed

from infra.errors import one_line
from tasks.attend.work import LOOK_BACK, OWN_TAG, RunSeen

_HEARTBEAT = "prefect.flow-run.heartbeat"
_TROUBLED = (StateType.CRASHED, StateType.RUNNING, StateType.PENDING, StateType.FAILED)
_LONGEST_MESSAGE = 300
_MOST = 200  # of one answer: the server's own limit


def troubled_runs(client: SyncPrefectClient, now: datetime) -> list[RunSeen]:
    """Runs of our deployments that may need something."""
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[OWN_TAG]))
    names = {
        each.id: each.name
        for each in client.read_deployments(
            deployment_filter=ours, limit=_MOST, sort=DeploymentSort.NAME_ASC
        )
    }
    recent = FlowRunFilterExpectedStartTime(after_=now - 7 * LOOK_BACK)
    found: list[FlowRun] = []
    for state in (
        FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_TROUBLED))),
        FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"])),
    ):
        found += client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                state=state,
                deployment_id=FlowRunFilterDeploymentId(any_=list(names)),
                expected_start_time=recent,
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=_MOST,
        )
    return [
        _seen(client, run, names[run.deployment_id], now)
        for run in found
        if run.deployment_id in names and run.state is not None and _is_recent(run, now)
    ]


def _is_recent(run: FlowRun, now: datetime) -> bool:
    """What has ended long ago is past help."""
    assert run.state is not None
    return not run.state.is_final() or now - run.state.timestamp < LOOK_BACK


def _seen(client: SyncPrefectClient, run: FlowRun, deployment: str, now: datetime) -> RunSeen:
    state = run.state
    assert state is not None
    heard = _last_heard(client, run, now) if state.type is StateType.RUNNING else None
    return RunSeen(
        str(run.id),
        run.name,
        deployment,
        state.type.value,
        state.name or "",
        state.timestamp,
        run.run_count,
        max(heard, state.timestamp) if heard else None,
        one_line(state.message or "")[:_LONGEST_MESSAGE],
    )


def _last_heard(client: SyncPrefectClient, run: FlowRun, now: datetime) -> datetime | None:
    events = client.read_events(
        EventFilter(
            event=EventNameFilter(name=[_HEARTBEAT]),
            resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
            occurred=EventOccurredFilter(since=now - 7 * LOOK_BACK, until=now),
            order=EventOrder.DESC,
        ),
        limit=1,
    ).events
    return events[0].occurred if events else None


def start_again(client: SyncPrefectClient, run_id: str, why: str) -> None:
    """Have a worker take the run once more, under its old id: it goes on from what it has built."""
    told = f"started again by 'attend': {why}"
    state: Any = client.read_flow_run(UUID(run_id)).state
    if state is not None and state.type is not StateType.CRASHED:
        crashed: Any = Crashed(message=told)
        client.set_flow_run_state(UUID(run_id), crashed, force=True)
    again: Any = AwaitingRetry(message=told)
    client.set_flow_run_state(UUID(run_id), again, force=True)


def data_reading(client: SyncPrefectClient) -> tuple[datetime | None, datetime] | None:
    """When raw data was last read and since when it should be; None if no schedule asks for it."""
    for each in client.read_deployments(limit=_MOST, sort=DeploymentSort.NAME_ASC):
        active = [one for one in each.schedules if one.active]
        if each.name != "ingest" or not active or each.created is None:
            continue
        done = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED])),
                deployment_id=FlowRunFilterDeploymentId(any_=[each.id]),
            ),
            sort=FlowRunSort.END_TIME_DESC,
            limit=1,
        )
        return (done[0].end_time if done else None), each.created
    return None
