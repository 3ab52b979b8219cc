"""The steps of a comparison as Prefect tasks, and their MLflow run with one for each model."""

from __future__ import annotations

from infra.artifact import Artifact
from infra.provenance import git_commit
from infra.tracking_runs import NestedRun, RunBook
from tasks.context import Context
from tasks.monitor.states import Progress, report_state
from tasks.monitor.step_report import StepReport
from tasks.monitor.step_task import DAY, HOUR, step_task
from tasks.monitor.tracked import run_book
from tasks.one_set.plan import ComparisonPlan
from tasks.one_set.work import (
    MARKDOWN_FILE,
    PLOT_FILE,
    TABLE_FILE,
    choose_studies,
    compare,
    pack_test_set,
)

EXPERIMENT = "comparisons"
"""The MLflow experiment: a comparison is of several recipes, so it stands in none of theirs."""


@step_task("choose test studies", tags={"evaluate"}, timeout=DAY)
def choose_test_studies(plan: ComparisonPlan) -> StepReport:
    """Studies that every model may fairly be asked about."""
    return report_state(choose_studies(plan))


@step_task("pack test set", tags={"evaluate"}, timeout=DAY)
def show_test_set(context: Context) -> StepReport:
    """The common studies as one model is shown them."""
    return report_state(pack_test_set(context, Progress(f"test set of {context.settings.recipe}")))


@step_task("compare recipes", tags={"evaluate"}, timeout=HOUR)
def hold_side_by_side(plan: ComparisonPlan, comparison_id: str) -> StepReport:
    """The table of all models; a new one goes to MLflow too."""
    artifact = compare(plan)
    if artifact.built:
        _log(plan, artifact, comparison_id)
    return report_state(artifact)


def _log(plan: ComparisonPlan, artifact: Artifact, comparison_id: str) -> None:
    """A parent run with the table and its plot, which hold numbers alone, and a run by model."""
    book: RunBook = run_book(plan.host, EXPERIMENT)
    asked = plan.asked
    tags = {
        "cxrflow.comparison": f"{asked.host}/{plan.test_set.name}",
        "cxrflow.scale": asked.order.scale,
        "cxrflow.fingerprint": artifact.fingerprint,
        "cxrflow.git_commit": git_commit(),
    }
    parent = book.pipeline_run(comparison_id, tags, f"{' · '.join(asked.recipes)} on {asked.host}")
    files = [artifact.files(name)[0] for name in (TABLE_FILE, MARKDOWN_FILE, PLOT_FILE)]
    NestedRun(book.client, parent).log_files(files, "comparison")
    for model in plan.models:
        run = book.nested_run(parent, model.recipe, {**model.way, "on": asked.on}, tags)
        run.log_metrics(artifact.pieces[0].facts["tracked"][model.recipe])
        run.end("FINISHED")
    book.end(parent, "FINISHED")
