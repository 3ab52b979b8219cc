"""Raw files of every source become studies and stored pixels."""

from __future__ import annotations

from typing import Any, cast

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from tasks.context import Order, open_context
from tasks.ingest.task import read_studies, store_images, write_replica
from tasks.monitor.recorded import recorded_run
from tasks.monitor.states import report_data_read
from tasks.monitor.step_report import StepReport

SOURCES_AT_ONCE = 3
"""Our choice: while one source's images are decoded, the next one's tables are read."""


WEEK_SECONDS = 7 * 24 * 3600.0
"""Our choice: MIMIC-CXR's 4.7 TB of DICOM read at 10 MB/s take five and a half days."""
RUNNER = cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=SOURCES_AT_ONCE))


@flow(
    name="ingest",
    flow_run_name="{order.recipe} {order.scale}",
    task_runner=RUNNER,
    timeout_seconds=WEEK_SECONDS,
)
def ingest(order: Order) -> list[StepReport]:
    """Replicas where asked for, then studies, then images, source by source."""
    with recorded_run(order) as order:
        context = open_context(order)
        futures = []
        for name in context.source_names:
            before = []
            if f"replicas/{name}" in context.graph.steps:
                before = [write_replica.submit(context, name)]
            studies = read_studies.submit(context, name, wait_for=before, return_state=False)
            images = store_images.submit(context, name, wait_for=[studies], return_state=False)
            futures += [*before, studies, images]
        reports = [future.result() for future in futures]
        report_data_read(context.settings.recipe)
        return reports
