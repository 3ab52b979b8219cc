"""Judging a candidate as a Prefect task, and starting the flow of a deployment that does so."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from prefect.artifacts import create_markdown_artifact
from pydantic import BaseModel, ConfigDict, Field

from infra.deliveries import Delivery
from infra.licences import Use
from infra.promotions import CHAMPION, this_person
from infra.settings.environment import load_environment
from tasks.context import open_store
from tasks.deployed import start_once
from tasks.monitor.states import artifact_key
from tasks.monitor.step_task import HOUR, step_task
from tasks.promote.evidence import record
from tasks.promote.work import Order, judge, open_registry

PARAMETER: Final = "asked"
"""The flow's only parameter."""


class CandidateOrder(BaseModel):
    """Which version is judged, and where."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1, description="a registered model's name")
    version: int = Field(ge=1, description="the candidate's version")
    data_root: str | None = Field(default=None, description="where its artifacts lie")
    use: Use | None = Field(default=None, description="what is wanted of it; else what gates say")
    allowed: tuple[str, ...] = Field(default=(), description="licences somebody answers for")
    gates: Path | None = Field(default=None, description="a file of gates; else the shipped one")


@step_task("judge candidate", tags={"promote"}, timeout=HOUR)
def judge_and_record(asked: CandidateOrder) -> str:
    """Judge against the present champion, keep the outcome in MLflow, show it in Prefect; nothing
    is promoted. Returns the verdict on one line."""
    from evaluation.gate_page import as_markdown, title_of

    environment = load_environment(data_root=asked.data_root)
    store, registry = open_store(environment, make=False), open_registry(environment)
    if registry.alias(asked.model, CHAMPION) == asked.version:
        return f"{asked.model} version {asked.version} is the champion already"
    order = Order(
        asked.model, str(asked.version), use=asked.use, allowed=asked.allowed, gates=asked.gates
    )
    outcome = judge(store, registry, order)
    record(registry, outcome, this_person())
    create_markdown_artifact(as_markdown(outcome), artifact_key(f"gate-{asked.model}"))
    return title_of(outcome)


def start_deployment(name: str, asked: CandidateOrder, delivery: Delivery) -> str:
    """Start a run of a deployment of the flow; raises as ``start_once``."""
    parameters = {PARAMETER: asked.model_dump(mode="json")}
    return start_once(name, parameters, delivery.key, ["promote", asked.model])
