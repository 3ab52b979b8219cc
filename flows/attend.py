"""Looks after the other runs: on a schedule, and whenever an automation sees something go wrong."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY

from infra.log import LOGGER
from infra.settings.environment import load_environment
from tasks.attend.runs import data_reading, start_again, troubled_runs
from tasks.attend.work import Verdict, judge, judge_data, not_told, tell


@flow(name="attend", timeout_seconds=600)
def attend() -> int:
    """Start again what crashed, tell of what needs a person; how much that was."""
    now, state = datetime.now(UTC), load_environment().state
    with get_client(sync_client=True) as client:
        heartbeat = PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() or float("inf")
        verdicts = [judge(run, now, heartbeat) for run in troubled_runs(client, now)]
        reading = data_reading(client)
        verdicts.append(judge_data(*reading, now) if reading else None)
        fresh = not_told(filter(None, verdicts), state)
        for each in fresh:
            LOGGER.warning("%s of %s: %s (%s)", each.name, each.deployment, each.why, each.deed)
            if each.deed == "restart":
                start_again(client, each.subject, each.why)
    tell(fresh, state, now)
    if fresh:
        create_table_artifact([_row(each) for each in fresh], key="attention")
    return len(fresh)


def _row(each: Verdict) -> dict[str, str]:
    return {"run": each.name, "deployment": each.deployment, "why": each.why, "done": each.deed}
