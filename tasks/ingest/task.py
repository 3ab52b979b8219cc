"""The ingest units of work as Prefect tasks.

They run in threads, where Prefect cannot interrupt a task: the ingest flow has the timeout.
"""

from __future__ import annotations

from infra.workers import workers_of
from tasks.context import Context
from tasks.ingest.replicas import build_replica
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import step_task

RETRIES = 2
"""Our choice: a network file system's hiccup passes within two tries; bad input is not retried."""


@step_task(
    "write replica", tags={"ingest"}, timeout=None, run_name="replica of {name}", retries=RETRIES
)
def write_replica(context: Context, name: str) -> StepReport:
    """A source's synthetic stand-in."""
    return report_state(build_replica(context, name, Progress(f"replica of {name}")))


@step_task(
    "ingest studies", tags={"ingest"}, timeout=None, run_name="studies of {name}", retries=RETRIES
)
def read_studies(context: Context, name: str) -> StepReport:
    """A source's tables and reports."""
    return report_state(ingest_studies(context, name, Progress(f"studies of {name}")))


@step_task(
    "ingest images", tags={"ingest"}, timeout=None, run_name="images of {name}", retries=RETRIES
)
def store_images(context: Context, name: str) -> StepReport:
    """A source's pixels."""
    workers = workers_of(context.environment)
    return report_state(ingest_images(context, name, workers, Progress(f"images of {name}")))
