"""The steps of a look as Prefect tasks; the last shows what has drifted."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from tasks.drift.plan import DriftPlan
from tasks.drift.recent import pack_recent
from tasks.drift.work import MARKDOWN_FILE, ask_champion, document_of, look
from tasks.monitor.states import Progress, artifact_key, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import DAY, HOUR, step_task


@step_task("pack recent studies", tags={"watch"}, timeout=DAY)
def pack_recent_studies(plan: DriftPlan) -> StepReport:
    """Studies that the champion has never met."""
    return report_state(pack_recent(plan, Progress("recent studies")))


@step_task("ask champion", tags={"watch"}, timeout=DAY)
def ask_about_recent(plan: DriftPlan) -> StepReport:
    """What it writes about them."""
    return report_state(ask_champion(plan, Progress("recent studies asked about").follow))


@step_task("look for drift", tags={"watch"}, timeout=HOUR)
def look_for_drift(plan: DriftPlan) -> StepReport:
    """Both windows side by side; a new look is shown in Prefect, and drift is an event."""
    artifact = look(plan)
    if artifact.built:
        text = artifact.files(MARKDOWN_FILE)[0].read_text(encoding="utf-8")
        create_markdown_artifact(text, artifact_key(f"drift-{plan.asked.model}"))
        if document_of(artifact)["drifted"]:
            resource = {"prefect.resource.id": f"cxrflow.drift.{plan.asked.model}"}
            emit_event("cxrflow.model.drifted", resource=resource)
    return report_state(artifact)
