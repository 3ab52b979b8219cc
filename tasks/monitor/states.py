"""How a unit of work shows in Prefect: cached or built, with its counts and its reason."""

from __future__ import annotations

import re
import time
from typing import Any, cast
from uuid import UUID

from prefect import Task
from prefect.artifacts import (
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.objects import State, TaskRun
from prefect.events import emit_event
from prefect.states import Completed

from infra.artifact import Artifact
from infra.errors import CxrError, WorkerLost
from infra.launch import Event
from infra.log import LOGGER
from tasks.monitor.recorded import note_step
from tasks.monitor.room_link import described
from tasks.monitor.step_report import StepReport

_TELL_EVERY_SECONDS = 2.0  # our choice: an update costs a request to the server


def report_state(artifact: Artifact) -> StepReport:
    """``Completed``, named Cached when nothing was built; a table and an event when it was.

    What a task returns as a State reaches its caller as the data inside, hence the type.
    """
    note_step(artifact)
    step = artifact.step
    counts = tuple((count.unit, count.rows_in, count.kept) for count in artifact.counts)
    report = StepReport(
        f"{step.kind}/{step.name}",
        artifact.folder,
        len(artifact.built),
        artifact.reason,
        artifact.seconds,
        counts,
        artifact.checking_seconds,
    )
    if artifact.drift:
        LOGGER.warning(
            "%s is reused, but its code has changed since: %s; raise its revision if its output "
            "changes",
            artifact.folder,
            ", ".join(artifact.drift),
        )
    if report.cached:
        LOGGER.info("%-24s cached", report.key)
        return cast(StepReport, Completed(name="Cached", message=artifact.folder, data=report))
    LOGGER.info("%-24s built in %.1f s (%s)", report.key, artifact.seconds, artifact.reason)
    _show_counts(artifact)
    emit_event(
        "cxrflow.artifact.built",
        resource={"prefect.resource.id": f"cxrflow.{artifact.folder}", "cxrflow.kind": step.kind},
        payload={"reason": artifact.reason, "seconds": artifact.seconds, "pieces": report.built},
    )
    return cast(StepReport, Completed(message=f"{artifact.folder}: {artifact.reason}", data=report))


def report_data_read(recipe: str) -> None:
    """An event that automations wait for: every source of a recipe has been read once more."""
    resource = {"prefect.resource.id": f"cxrflow.data.{recipe}"}
    emit_event("cxrflow.data.read", resource=resource)


def _show_counts(artifact: Artifact) -> None:
    rows: list[dict[str, Any]] = [
        {
            "unit": count.unit,
            "in": count.rows_in,
            "kept": count.kept,
            "rejected": ", ".join(f"{why} {n}" for why, n in count.rejected.items()) or "none",
        }
        for count in artifact.counts
    ]
    if rows:
        key = artifact_key(f"{artifact.step.kind}-{artifact.step.name}")
        create_table_artifact(rows, key=key, description=described(artifact.folder))


def artifact_key(name: str) -> str:
    """Prefect allows lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


class Progress:
    """A progress artifact in Prefect, updated at most every two seconds and at the end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._id: UUID | None = None
        self._percent = -1
        self._told_at = 0.0

    def __call__(self, done: int, total: int) -> None:
        percent = 100 if total == 0 else int(100 * done / total)
        now = time.monotonic()
        too_early = now - self._told_at < _TELL_EVERY_SECONDS and percent < 100
        if percent <= self._percent or too_early:
            return
        self._percent, self._told_at = percent, now
        if self._id is None:
            created = create_progress_artifact(float(percent), description=self._what)
            assert isinstance(created, UUID)
            self._id = created
        else:
            update_progress_artifact(self._id, float(percent))

    def follow(self, event: Event) -> None:
        """Show how far a child process tells that it is."""
        if event["event"] == "progress":
            self(int(event["step"]), int(event["steps"]))


def is_worth_retrying(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Retry what may pass by itself, a lost worker among it; never bad input or another error that
    cxrflow raised on purpose."""
    del task, run
    error = state.result(raise_on_failure=False)
    if isinstance(error, WorkerLost):
        return True
    return isinstance(error, Exception) and not isinstance(error, CxrError | AssertionError)
