"""Stages and other steps in MLflow: a nested run that exists only if the step really ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from prefect.context import FlowRunContext

from infra.artifact import Artifact
from infra.launch import Event
from infra.provenance import git_commit
from infra.settings.environment import Environment
from infra.tracking_runs import NestedRun, RunBook
from tasks.context import Context, Order
from tasks.monitor.pace import pace_numbers

_OPEN: dict[str, tuple[RunBook, str]] = {}
"""Parent runs that this process uses, by pipeline id."""
_NOT_METRICS = ("event", "step", "steps", "stage", "best_step")


def run_book(context: Context, experiment: str | None = None) -> RunBook:
    """The recipe's experiment at the place the environment names, or another one there."""
    return book_at(context.environment, experiment or context.settings.recipe)


def book_at(environment: Environment, experiment: str) -> RunBook:
    """An experiment at the place that the environment names."""
    own = environment.mlflow_uri is None
    artifacts = environment.state / "mlflow" / "artifacts" if own else None
    return RunBook(environment.tracking_uri, experiment, artifacts)


def pipeline_run(context: Context, book: RunBook) -> str:
    """The id of this pipeline run's parent run in MLflow."""
    tags = {
        "cxrflow.recipe": context.settings.recipe,
        "cxrflow.scale": context.settings.scale,
        "cxrflow.git_commit": git_commit(),
        "cxrflow.replicas": ",".join(step.name for step in context.graph.of_kind("replicas")),
    }
    pipeline_id = context.order.pipeline_id
    run_id = book.pipeline_run(pipeline_id, tags)
    _OPEN[pipeline_id] = book, run_id
    return run_id


@contextmanager
def tracked_pipeline(pipeline_id: str) -> Iterator[None]:
    """Ends the pipeline's MLflow run with the block, if a step of this process started one."""
    status = "KILLED"
    try:
        yield
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        book, run_id = _OPEN.pop(pipeline_id, (None, ""))
        if book is not None:
            book.end(run_id, status)


@contextmanager
def tracked_order(order: Order) -> Iterator[Order]:
    """The order with an id that groups its MLflow runs: of the flow that calls this one, or, if a
    person or a schedule has started this one alone, of its own run."""
    if order.pipeline_id:
        yield order
        return
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    own = order.model_copy(update={"pipeline_id": str(context.flow_run.id)})
    with tracked_pipeline(own.pipeline_id):
        yield own


class StageLog:
    """Logs a stage's events; the MLflow run starts with the first one."""

    def __init__(self, context: Context, key: str, params: Mapping[str, Any]) -> None:
        self._context, self._key, self._params = context, key, params
        self._measuring = ExitStack()
        self.run: NestedRun | None = None

    def __call__(self, name: str, event: Event) -> None:
        run = self._started(name)
        numbers = {
            key: float(value)
            for key, value in event.items()
            if key not in _NOT_METRICS and isinstance(value, int | float)
        }
        if event["event"] in ("progress", "validated") and numbers:
            held = [(int(step), {"loss": loss}) for step, loss in event.get("losses", ())]
            run.log_steps([*held[:-1], (int(event["step"]), numbers)])
        if event["event"] == "done" and event.get("throughput") is not None:
            run.log_metrics(pace_numbers(event["throughput"]), int(event["steps"]))

    def _started(self, name: str) -> NestedRun:
        if self.run is None:
            book = run_book(self._context)
            parent = pipeline_run(self._context, book)
            tags = {"cxrflow.fingerprint": self._context.graph[self._key].fingerprint}
            self.run = book.nested_run(parent, name, self._params, tags)
            self._measuring.enter_context(self.run.machine_measured())
        return self.run

    def end(self, status: str) -> None:
        """End the MLflow run, if it started."""
        self._measuring.close()
        if self.run is not None:
            self.run.end(status)


def log_step(
    context: Context, artifact: Artifact, title: str, overlays: Sequence[Path] = ()
) -> None:
    """A nested run with a finished step's settings and numbers, and pictures that may be shown."""
    book, step = run_book(context), artifact.step
    tags = {"cxrflow.fingerprint": step.fingerprint}
    run = book.nested_run(pipeline_run(context, book), title, dict(step.settings), tags)
    run.log_metrics(artifact.pieces[0].facts["tracked"])
    run.log_files(overlays, "overlays")
    run.end("FINISHED")


@contextmanager
def tracked_stage(context: Context, name: str) -> Iterator[StageLog]:
    """A log for one stage; its MLflow run, if it started, ends with the block."""
    key = f"stages/{name}"
    log = StageLog(context, key, dict(context.graph[key].settings))
    status = "KILLED"  # by a signal or on request, which are no exceptions
    try:
        yield log
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        log.end(status)
