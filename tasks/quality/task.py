"""Rating a teacher as a Prefect task, with its numbers in MLflow."""

from __future__ import annotations

from tasks.context import Context
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import DAY, step_task
from tasks.monitor.tracked import log_step
from tasks.quality.work import rate_teacher
from tasks.reports.connection import Teacher


@step_task("rate teacher", tags={"evaluate", "llm"}, timeout=DAY, run_name="teacher of {name}")
def rate_teacher_of(context: Context, name: str, teacher: Teacher) -> StepReport:
    """The texts of one source's teacher beside better ones."""
    artifact = rate_teacher(context, name, teacher, Progress(f"judged texts of {name}"))
    if artifact.built:
        log_step(context, artifact, f"teacher quality {artifact.step.name}")
    return report_state(artifact)
