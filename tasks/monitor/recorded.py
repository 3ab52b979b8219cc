"""Flow runs and their steps as facts: told while they go on, settled when they end.

The outermost recorded flow of a process opens the run; flows inside it add to it. A step is told
twice: when it is to be built, as one that was killed if nothing more is heard of it, and when it
has ended. A run of a killed process is settled by whoever looks next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeGuard, TypeVar

from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext, TaskRunContext

from infra.artifact import Artifact
from infra.errors import InputError
from infra.facts.claims import claim_requests
from infra.facts.contract import FactRows, RunState, Trigger
from infra.facts.open_runs import (
    BEAT_SECONDS,
    OpenRun,
    beat,
    begin,
    dead_runs,
    find_open,
    head_row,
    new_run_id,
    note,
    settle,
)
from infra.log import LOGGER
from infra.provenance import git_commit
from infra.settings.environment import load_environment
from infra.step import Step, watched
from infra.store import Store
from infra.tracking_runs import this_process
from tasks.context import Context, Order, open_store
from tasks.control.watch import heeding_requests
from tasks.monitor.fact_rows import Told, finished_rows, unfinished_rows
from tasks.monitor.room_link import link_run

ArgumentsT = ParamSpec("ArgumentsT")
ResultT = TypeVar("ResultT")
CLAIM_BEATS = 10
"""Every so many heartbeats a run tells what it asked of language models: our choice, 10 minutes."""


@dataclass(frozen=True)
class Recording:
    """Where the facts of a run under way go; ``key`` names its folder.

    Steps that were there already are held in ``cached`` and written together, now and then and at
    the end: fifty notes of their own would make a run that finds everything half a second longer.
    ``noted`` names the steps that have a note.
    """

    store: Store
    key: str
    run_id: str
    recipe: str
    scale: str
    cached: dict[str, FactRows] = field(default_factory=dict)
    noted: set[str] = field(default_factory=set)

    def note(self, name: str, rows: FactRows) -> None:
        """Write what a step tells. A place that fails is no reason to lose the step."""
        self.noted.add(name)
        try:
            note(self.store, self.key, name, rows)
        except (OSError, InputError) as error:
            LOGGER.warning("a step's facts are lost: %s", error)

    def note_cached(self) -> None:
        """Write all that was there already; one that was built in this run stays built."""
        rows: FactRows = {}
        for name, own in list(self.cached.items()):
            if name not in self.noted:
                for kind, found in own.items():
                    rows.setdefault(kind, []).extend(found)
        if rows:
            note(self.store, self.key, _CACHED_NOTE, rows)


_CACHED_NOTE = "cached"
_RECORDING: ContextVar[Recording | None] = ContextVar("recording", default=None)
_STEP: ContextVar[_StepNotes | None] = ContextVar("step notes", default=None)


@contextmanager
def recorded_run(order: Order, goal: str = "") -> Iterator[Order]:
    """Record the block, a flow's, as one run, unless it is part of one; it heeds requests to stop.

    Args:
        goal: how far it is to go; the flow's name, if it has no other.

    Returns:
        The order, which groups what is done in MLflow by this flow run's id if by no other.

    Raises:
        InputError: the data root cannot be written.
    """
    flow, run_id = _flow()
    if not order.pipeline_id:
        order = order.model_copy(update={"pipeline_id": run_id})
    if _RECORDING.get() is not None:
        with heeding_requests(_flow_run(), load_environment(data_root=order.data_root).state):
            yield order
        return
    store = open_store(load_environment(data_root=order.data_root))
    settle_dead(store)
    opened = begin(store, run_head(run_id, flow, order, goal or flow, _flow_run()))
    recording = Recording(store, opened.key, run_id, order.recipe, order.scale)
    token = _RECORDING.set(recording)
    end: tuple[RunState, str] = ("cancelled", "")
    try:
        with heeding_requests(_flow_run(), store.state), _beating(recording, opened):
            if _flow_run() is not None:
                link_run(run_id, f"{order.recipe} {order.scale}")
            yield order
        end = ("completed", "")
    except Exception as error:
        end = ("failed", type(error).__name__)
        raise
    finally:
        _RECORDING.reset(token)
        _end(recording, opened, end)


def _flow() -> tuple[str, str]:
    """Name and id of the flow run at hand; of none where a flow is called as a plain function."""
    context, run = FlowRunContext.get(), _flow_run()
    if context is None or context.flow is None or run is None:
        return "no flow", new_run_id()
    return context.flow.name, str(run.id)


def _flow_run() -> FlowRun | None:
    context = FlowRunContext.get()
    return None if context is None else context.flow_run


def run_head(
    run_id: str, flow: str, order: Order, goal: str, run: FlowRun | None
) -> dict[str, Any]:
    """What is known of a run when it starts; who wanted it when, Prefect's run tells."""
    now = datetime.now(UTC)
    known: dict[str, Any] = {
        "run_id": run_id,
        "flow": flow,
        "recipe": order.recipe,
        "scale": order.scale,
        "goal": goal,
        "started_at": now,
        "expected_at": None,
        "late_seconds": None,
        "trigger": "command",
        "replicas": order.replicas,
        "git_commit": git_commit(),
        "host": this_process().partition(":")[0],
    }
    if run is not None and run.deployment_id is not None:
        trigger: Trigger = "schedule" if run.auto_scheduled else "deployment"
        known["trigger"] = trigger
        if run.expected_start_time is not None:
            known["expected_at"] = datetime.fromtimestamp(run.expected_start_time.timestamp(), UTC)
            known["late_seconds"] = max(0.0, (now - known["expected_at"]).total_seconds())
    return head_row(known)


@contextmanager
def _beating(recording: Recording, opened: OpenRun) -> Iterator[None]:
    """Within the block a thread says that the run lives, and what it has told so far."""
    stop, store = threading.Event(), recording.store

    def say() -> None:
        beats = 0
        while not stop.wait(BEAT_SECONDS):
            beats += 1
            try:
                beat(store, opened)
                recording.note_cached()
                if beats % CLAIM_BEATS == 0:
                    claim_requests(store, opened.key)
            except (OSError, InputError) as error:  # a place that hiccups; the next beat tells it
                LOGGER.warning("facts of this run wait: %s", type(error).__name__)

    thread = threading.Thread(target=say, name="facts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _end(recording: Recording, opened: OpenRun, end: tuple[RunState, str]) -> None:
    """Settle this process's own run. A place that fails leaves it to whoever looks next."""
    store = recording.store
    try:
        recording.note_cached()
        claim_requests(store, opened.key)
        settle(store, beat(store, opened, end), anew=True)
    except (OSError, InputError) as error:
        LOGGER.warning("facts of this run are not written (%s); 'cxr facts' does it later", error)


def settle_dead(store: Store) -> int:
    """Settle runs whose process is gone; how many there were.

    What they asked of language models is claimed for them where the ledger is this state folder's.
    """
    dead = list(dead_runs(store))
    for opened in dead:
        if opened.state_folder == str(store.state) and opened.owner.startswith(_host()):
            claim_requests(store, opened.key)
        settle(store, opened, anew=False)
    return len(dead)


def _host() -> str:
    return this_process().partition(":")[0] + ":"


class _StepNotes:
    """What one task tells of its step."""

    def __init__(self, recording: Recording, told: Told, task: str) -> None:
        self._recording, self._told, self._task = recording, told, task
        self._step: Step | None = None

    def watch(self, step: Step, building: bool) -> None:
        """A step is looked at, or about to be built."""
        self._step = step
        if building:
            self._note(unfinished_rows(self._told, step, self._task, "killed", "cut off"))

    def failed(self, error: Exception) -> None:
        """The task raises; only the error's class is told, for its words may quote what it met."""
        state, why = "failed", type(error).__name__
        self._note(unfinished_rows(self._told, self._step, self._task, state, why))

    def finished(self, artifact: Artifact) -> None:
        """The step is there. One that was built in this run stays so, whoever uses it again."""
        self._step = artifact.step
        rows = finished_rows(self._told, artifact)
        if artifact.cached and self._told.attempts == 1 and self._recording is _RECORDING.get():
            self._recording.cached.setdefault(self._name(), rows)
        else:
            self._note(rows)

    def _note(self, rows: FactRows) -> None:
        self._recording.note(self._name(), rows)

    def _name(self) -> str:
        step = self._step
        name = f"step-{step.folder.replace('/', '--')}" if step else f"task-{self._task}"
        return name.replace(" ", "-")


def noted(name: str, work: Callable[ArgumentsT, ResultT]) -> Callable[ArgumentsT, ResultT]:
    """For a step's task: how its step went is told to the run that it is part of, if it is.

    Args:
        name: the task's, for what fails before any step is reached.
    """

    @wraps(work)
    def run(*args: ArgumentsT.args, **kwargs: ArgumentsT.kwargs) -> ResultT:
        context = next((each for each in (*args, *kwargs.values()) if _is_context(each)), None)
        recording = _RECORDING.get() or _elsewhere(context)
        if recording is None:
            return work(*args, **kwargs)
        notes = _StepNotes(recording, _told(recording, context), name)
        token = _STEP.set(notes)
        try:
            with watched(notes.watch):
                return work(*args, **kwargs)
        except Exception as error:
            notes.failed(error)
            raise
        finally:
            _STEP.reset(token)

    return run


def note_step(artifact: Artifact) -> None:
    """Tell the run of a step that has ended well."""
    notes = _STEP.get()
    if notes is not None:
        notes.finished(artifact)


def _is_context(value: object) -> TypeGuard[Context]:
    return isinstance(value, Context)


def _elsewhere(context: Context | None) -> Recording | None:
    """The run that a task in another process than its flow's belongs to, by its order."""
    if context is None or not context.order.pipeline_id:
        return None
    run_id = context.order.pipeline_id
    key = find_open(context.store, run_id)
    if key is None:
        return None
    return Recording(context.store, key, run_id, context.settings.recipe, context.settings.scale)


def _told(recording: Recording, context: Context | None) -> Told:
    task = TaskRunContext.get()
    attempts = 1 if task is None else max(1, task.task_run.run_count)
    if context is None:
        return Told(recording.run_id, recording.recipe, recording.scale, attempts)
    settings = context.settings
    model = context.asked.model_name
    return Told(recording.run_id, settings.recipe, settings.scale, attempts, model)
