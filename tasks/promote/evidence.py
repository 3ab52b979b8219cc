"""What a promotion was decided on, kept in MLflow: a run with the outcome, and a version's tags."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infra.promotions import shown
from infra.provenance import git_commit
from infra.registry import EVIDENCE, Registry

if TYPE_CHECKING:
    from evaluation.gate_outcome import Outcome

OUTCOME_FILE: Final = "outcome.json"
MARKDOWN_FILE: Final = "outcome.md"
PAGE_FILE: Final = "outcome.html"
GATE_TAG: Final = "cxrflow.gate"


def record(registry: Registry, outcome: Outcome, person: str) -> str:
    """Keep an outcome, passed or refused; the id of the run that holds it.

    It holds numbers and names alone, no text and no picture of the data.
    """
    verdict = "passed" if outcome.passed else "refused"
    title = f"{outcome.model} version {outcome.version} against {shown(outcome.against)}"
    tags = {
        "cxrflow.model": outcome.model,
        "cxrflow.version": str(outcome.version),
        "cxrflow.against": str(outcome.against),
        "cxrflow.by": person,
        "cxrflow.git_commit": git_commit(),
        GATE_TAG: verdict,
        f"{GATE_TAG}.digest": outcome.digest,
    }
    run = registry.open_run(title, tags)
    with tempfile.TemporaryDirectory(prefix="cxrflow-promotion-") as folder:
        run.log_files(_written(outcome, Path(folder)), EVIDENCE)
    run.log_metrics(_numbers(outcome))
    run.end("FINISHED")
    about = {
        GATE_TAG: verdict,
        f"{GATE_TAG}.against": str(outcome.against),
        f"{GATE_TAG}.at": datetime.now(UTC).isoformat(timespec="seconds"),
        f"{GATE_TAG}.by": person,
        f"{GATE_TAG}.digest": outcome.digest,
        f"{GATE_TAG}.run": run.run_id,
        f"{GATE_TAG}.failed": "; ".join(check.title for check in outcome.failed) or "none",
    }
    registry.tag(outcome.model, outcome.version, about)
    return run.run_id


def _written(outcome: Outcome, folder: Path) -> list[Path]:
    from evaluation.gate_page import as_markdown, render_gate

    texts = {
        OUTCOME_FILE: json.dumps(outcome.to_dict(), indent=1) + "\n",
        MARKDOWN_FILE: as_markdown(outcome),
        PAGE_FILE: render_gate(outcome),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def _numbers(outcome: Outcome) -> dict[str, float]:
    """Figures of the checks that are numbers."""
    return {
        f"{check.title}/{name}": float(value)
        for check in outcome.checks
        for name, value in check.figures.items()
        if isinstance(value, int | float)
    }
