"""Drawing the films of a set as a Prefect task."""

from __future__ import annotations

from tasks.context import Context
from tasks.drawn.work import draw_films
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import DAY, step_task


@step_task("draw examples", tags={"train", "gpu"}, timeout=DAY, run_name="films of {name}")
def draw_examples(context: Context, name: str) -> StepReport:
    """Films of one set, from the texts of another one's training examples."""
    progress = Progress(f"films of {name}")
    return report_state(draw_films(context, name, progress.follow))
