"""Writing dialogues as a Prefect task."""

from __future__ import annotations

from tasks.context import Context
from tasks.dialogues.work import write_dialogues
from tasks.monitor.live import LiveCounts
from tasks.monitor.states import report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import WEEK, step_task
from tasks.reports.connection import Teacher


@step_task(
    "write dialogues", tags={"dialogues", "llm"}, timeout=WEEK, run_name="dialogues of {name}"
)
def ask_for_dialogues(context: Context, name: str, teacher: Teacher) -> StepReport:
    """Dialogues of one source, from its reports."""
    state = context.store.state
    with LiveCounts(f"dialogues of {name}", state, lambda row: row.source == name) as live:
        artifact = write_dialogues(context, name, teacher, live.on_piece, live.on_answer)
    return report_state(artifact)
