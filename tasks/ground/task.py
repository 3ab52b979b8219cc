"""Grounding as a Prefect task, with its MLflow run."""

from __future__ import annotations

from tasks.context import Context
from tasks.ground.work import PIECE, ground
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import DAY, step_task
from tasks.monitor.tracked import log_step


@step_task("ground", tags={"evaluate", "gpu"}, timeout=DAY)
def run_grounding(context: Context) -> StepReport:
    """Maps of sentences against boxes."""
    progress = Progress("grounding")
    artifact = ground(context, progress.follow)
    if artifact.built:
        shareable = artifact.pieces[0].facts["shareable"]  # of replicas and open data alone
        folder = artifact.local_folder(PIECE)
        log_step(context, artifact, "grounding", [folder / name for name in shareable])
    return report_state(artifact)
