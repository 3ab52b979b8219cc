"""The command that runs, plans or shows an ablation."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict

from flows.cli_prefect import prefect_at
from infra.errors import CxrError
from infra.settings.environment import load_environment
from infra.settings.matrix import MatrixSettings, load_matrix, matrix_names
from tasks.ablate.plan import Unscored, additions_json, additions_text, plan_variants
from tasks.ablate.work import MARKDOWN_FILE, PAGE_FILE, last_comparison, table_of
from tasks.context import Order
from tasks.monitor.step_report import StepReport


def list_matrices(*, as_json: bool) -> None:
    """The matrices that come with the package, and what their variants ask."""
    matrices = [load_matrix(name) for name in matrix_names()]
    if as_json:
        print(json.dumps([matrix.model_dump(mode="json") for matrix in matrices], indent=1))
        return
    for matrix in matrices:
        print(f"{matrix.name}: {matrix.recipe} at scale {matrix.scale}")
        for variant in matrix.variants:
            print(f"  {variant.name:24} {variant.question}")


def plan_ablation(matrix: MatrixSettings, order: Order, *, as_json: bool) -> None:
    """What each variant shares, has and would build; nothing is written."""
    plan = plan_variants(matrix, order, make=False)
    print(json.dumps(additions_json(plan), indent=1) if as_json else additions_text(plan))


def run_ablation(matrix: MatrixSettings, order: Order, *, as_json: bool) -> None:
    """Build and score all variants, then print the table and where its page lies.

    Raises:
        VariantsFailed: a variant failed, which is said after the table of the others.
    """
    started = time.monotonic()
    with prefect_at(load_environment(data_root=order.data_root), "flows.ablate"):
        from flows.ablate import VariantsFailed, ablate  # Prefect reads its settings on import

        failure = None
        try:
            reports = ablate(matrix, order)
        except VariantsFailed as error:
            failure, reports = error, list(error.reports)
    failed = () if failure is None else failure.failed
    _show(matrix, order, reports, failed, time.monotonic() - started, as_json=as_json)
    if failure is not None:
        raise failure


def _show(
    matrix: MatrixSettings,
    order: Order,
    reports: Sequence[StepReport],
    failed: Sequence[Unscored],
    seconds: float,
    *,
    as_json: bool,
) -> None:
    done = last_comparison(matrix, plan_variants(matrix, order), failed)
    if done is None:
        raise CxrError("the table was built and is gone: another process removed it; run again")
    if as_json:
        steps = [asdict(report) for report in reports]
        print(
            json.dumps({"seconds": round(seconds, 1), "steps": steps, **table_of(done)}, indent=1)
        )
        return
    print(done.files(MARKDOWN_FILE)[0].read_text(encoding="utf-8"))
    built = sum(not report.cached for report in reports)
    print(f"{len(reports)} steps: {len(reports) - built} cached, {built} built, in {seconds:.0f} s")
    print(f"page  {done.files(PAGE_FILE)[0]}")
