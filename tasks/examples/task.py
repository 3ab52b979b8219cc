"""Packing examples as a Prefect task."""

from __future__ import annotations

from tasks.context import Context
from tasks.drawn.work import pack_drawn
from tasks.examples.work import write_examples
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import DAY, step_task


@step_task("pack examples", tags={"examples"}, timeout=DAY, run_name="examples {name}")
def pack_examples(context: Context, name: str) -> StepReport:
    """Shards of one set, from all sources."""
    pack = write_examples if context.settings.sets[name].drawn is None else pack_drawn
    return report_state(pack(context, name, Progress("examples")))
