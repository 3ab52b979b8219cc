"""Automations as code: whatever goes wrong wakes the flow ``attend``, which judges and acts.

Prefect's own actions could notify or change a state, but they cannot count: a run that crashes
each time would be started for ever. So each trigger here only starts ``attend``. A server that was
killed holds events back for up to 15 minutes while it waits for those before them, which it has
forgotten; so a schedule starts ``attend`` too.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY

from tasks.attend.work import DATA_HOURS, MISSED_HEARTBEATS, OWN_TAG

_RUN = "prefect.flow-run"
_OURS = {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{OWN_TAG}"}
_PREFECTS_HEARTBEAT_SECONDS = 180
"""Prefect's own default."""
_RUNS = {"prefect.resource.id": f"{_RUN}.*"}


def automations(attend: UUID, heartbeat_seconds: float) -> list[AutomationCore]:
    """All of them.

    Args:
        attend: the deployment that each starts.
        heartbeat_seconds: how often runs tell that they live.
    """
    wake = RunDeployment(source="selected", deployment_id=attend)
    return [
        AutomationCore(
            name=f"cxrflow: {name}", description=description, trigger=trigger, actions=[wake]
        )
        for name, description, trigger in (
            (
                "a run failed",
                "A run of ours failed, crashed or ran out of time.",
                _on(f"{_RUN}.Failed", f"{_RUN}.Crashed", f"{_RUN}.TimedOut"),
            ),
            (
                "a run is late",
                "No worker has taken a run that should have begun.",
                _on(f"{_RUN}.Late"),
            ),
            (
                "a worker has started",
                "The one before it may have died, and its runs with it.",
                EventTrigger(expect={"prefect.worker.started"}, posture=Posture.Reactive),
            ),
            (
                "a run is silent",
                "A run that told of itself does so no more, and has not ended either.",
                _silence(MISSED_HEARTBEATS * heartbeat_seconds),
            ),
            (
                "data is missing",
                f"No run has read raw data for {DATA_HOURS} hours.",
                _absence("cxrflow.data.read", DATA_HOURS * 3600),
            ),
        )
    ]


def _on(*events: str) -> EventTrigger:
    """Any of these of a run of ours; ``attend`` itself has no such tag."""
    return EventTrigger(
        expect=set(events),
        match=_RUNS,
        match_related=_OURS,
        posture=Posture.Reactive,
        threshold=1,
    )


def _silence(seconds: float) -> EventTrigger:
    """A run of ours that has told that it lives, and now neither tells so nor ends."""
    ends = ("Completed", "Failed", "Cancelled", "Crashed")
    return EventTrigger(
        after={f"{_RUN}.heartbeat"},
        expect={f"{_RUN}.{each}" for each in ("heartbeat", *ends)},
        match=_RUNS,
        match_related=_OURS,
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=seconds),
    )


def _absence(event: str, seconds: float) -> EventTrigger:
    return EventTrigger(
        expect={event}, posture=Posture.Proactive, threshold=1, within=timedelta(seconds=seconds)
    )


def register_automations(client: SyncPrefectClient, attend: UUID) -> list[str]:
    """Make or update each by its name; the names."""
    heartbeat = PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() or _PREFECTS_HEARTBEAT_SECONDS
    wanted = automations(attend, heartbeat)
    for each in wanted:
        found = client.read_automations_by_name(each.name)
        if found:
            client.update_automation(found[0].id, each)
        else:
            client.create_automation(each)
    return [each.name for each in wanted]
