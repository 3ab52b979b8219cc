"""MLflow runs of a pipeline: one experiment per recipe, a parent run, a nested run per stage.

Only numbers and settings are logged: report text and pictures of gated sources stay under the data
root. MLflow is imported on first use; a run that builds nothing never pays for it.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from infra.tracking_database import make_database

if TYPE_CHECKING:
    from mlflow import MlflowClient

PIPELINE_TAG = "cxrflow.pipeline"
PARENT_TAG = "mlflow.parentRunId"
OWNER_TAG = "cxrflow.process"
"""Which process keeps a run open: host, process id, start time. A run left open by a dead one is
closed as KILLED by the next pipeline run on that host."""
_NAME_TAG = "mlflow.runName"
_MOST_METRICS = 1000  # MLflow refuses more in one call
_LONGEST_PARAM = 500  # MLflow refuses longer values on some back ends


@dataclass(frozen=True)
class RunBook:
    """The MLflow experiment of one recipe.

    Args:
        uri: tracking URI; a new experiment's artifacts go to ``artifacts`` if that is given.
    """

    uri: str
    experiment: str
    artifacts: Path | None = None

    @cached_property
    def client(self) -> MlflowClient:
        from mlflow import MlflowClient

        make_database(self.uri)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @cached_property
    def experiment_id(self) -> str:
        """The experiment's id; it is made when it is not there."""
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(self.experiment)
        if found is None:
            location = None if self.artifacts is None else self.artifacts.as_uri()
            try:
                return str(self.client.create_experiment(self.experiment, location))
            except MlflowException:  # another run made it meanwhile
                found = self.client.get_experiment_by_name(self.experiment)
        assert found is not None
        return str(found.experiment_id)

    def pipeline_run(self, pipeline_id: str, tags: Mapping[str, str], name: str = "") -> str:
        """The id of a pipeline's parent run, made on first call; named by its id if not given."""
        found = self.client.search_runs(
            [self.experiment_id], f"tags.`{PIPELINE_TAG}` = '{pipeline_id}'", max_results=1
        )
        if found:
            run_id = str(found[0].info.run_id)
            if is_abandoned(found[0].data.tags):  # the pipeline goes on in this process
                self.client.set_tag(run_id, OWNER_TAG, this_process())
                self.close_abandoned()
            return run_id
        self.close_abandoned()
        title = name or f"pipeline {pipeline_id[:8]}"
        named = {**tags, PIPELINE_TAG: pipeline_id, _NAME_TAG: title, OWNER_TAG: this_process()}
        return str(self.client.create_run(self.experiment_id, tags=named).info.run_id)

    def close_abandoned(self) -> None:
        """Close as KILLED every open run whose process on this host is no more."""
        for run in self.client.search_runs([self.experiment_id], "attributes.status = 'RUNNING'"):
            if is_abandoned(run.data.tags):
                self.client.set_terminated(run.info.run_id, "KILLED")

    def nested_run(
        self, parent: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]
    ) -> NestedRun:
        """Start a run under ``parent``; nested tables become dotted parameters."""
        from mlflow.entities import Param

        named = {**tags, PARENT_TAG: parent, _NAME_TAG: name, OWNER_TAG: this_process()}
        run = self.client.create_run(self.experiment_id, tags=named)
        flat = [Param(key, value) for key, value in flatten(params).items()]
        self.client.log_batch(run.info.run_id, params=flat)
        return NestedRun(self.client, str(run.info.run_id))

    def single_run(self, name: str, tags: Mapping[str, str]) -> NestedRun:
        """Start a run under no other."""
        named = {**tags, _NAME_TAG: name, OWNER_TAG: this_process()}
        run = self.client.create_run(self.experiment_id, tags=named)
        return NestedRun(self.client, str(run.info.run_id))

    def end(self, run_id: str, status: str) -> None:
        """Close a run as FINISHED or FAILED."""
        self.client.set_terminated(run_id, status)


@dataclass(frozen=True)
class NestedRun:
    """One stage's or evaluation's run."""

    client: MlflowClient
    run_id: str

    @contextmanager
    def machine_measured(self) -> Iterator[None]:
        """Within the block MLflow logs this machine's processor, memory, disk, network and GPUs as
        ``system/…``, every 10 s unless MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL says otherwise."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(self.run_id, tracking_uri=self.client.tracking_uri)
        monitor.start()
        try:
            yield
        finally:
            monitor.finish()

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log finite numbers at a step; names keep letters, digits and ``_-./ ``."""
        self.log_steps([(step, values)])

    def log_steps(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Log finite numbers of several steps in as few calls as MLflow allows."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(metric_name(name), float(value), now, step)
            for step, values in rows
            for name, value in values.items()
            if math.isfinite(value)
        ]
        for first in range(0, len(metrics), _MOST_METRICS):
            batch = metrics[first : first + _MOST_METRICS]
            self.client.log_batch(self.run_id, metrics=batch)

    def log_files(self, paths: Sequence[Path], folder: str) -> None:
        """Upload files into a folder of the run's artifacts; the caller knows which may leave the
        data root."""
        for path in paths:
            self.client.log_artifact(self.run_id, str(path), folder)

    def end(self, status: str) -> None:
        """Close as FINISHED or FAILED."""
        self.client.set_terminated(self.run_id, status)


def this_process() -> str:
    """``host:process id:start time in s`` of this process."""
    return _process_name(psutil.Process(os.getpid()))


def _process_name(process: psutil.Process) -> str:
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.0f}"


def is_abandoned(tags: Mapping[str, str]) -> bool:
    """Whether the process that owns the run was one of this host and is gone."""
    return is_gone(tags.get(OWNER_TAG, ""))


def is_gone(owner: str) -> bool:
    """Whether that process, as it calls itself, was one of this host and is no more."""
    if not is_of_this_host(owner):
        return False
    rest = owner.partition(":")[2]
    try:
        process = psutil.Process(int(rest.partition(":")[0]))
        return _process_name(process) != owner or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def is_of_this_host(owner: str) -> bool:
    """Whether a process, as it calls itself, is or was one of this host."""
    return owner.partition(":")[0] == socket.gethostname()


def metric_name(name: str) -> str:
    """The name with characters that MLflow refuses as dots."""
    return "".join(letter if letter.isalnum() or letter in "_-./ " else "." for letter in name)


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested tables as ``a.b`` keys with text values, cut to what MLflow stores."""
    flat: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = str(value)[:_LONGEST_PARAM]
    return flat
