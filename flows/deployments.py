"""What ``prefect.yaml`` says, registered with Prefect's server as often as is asked.

Work pools first, for a deployment names one; then deployments with the schemas of their parameters;
then the automations that watch them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import yaml
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flows.automations import register_automations
from infra.errors import InputError
from infra.fingerprint import HOUSE

FILE = HOUSE / "prefect.yaml"
POOL_TEMPLATES = HOUSE / "infra" / "deploy" / "pools"
PoolKind = Literal["process", "kubernetes", "slurm"]
RUNS_AT_ONCE = {"cpu": 4, "gpu": 1}
"""Of a pool that is new; later a person's own limit stays. Our choice: one run has the
accelerators, and of those that need none some may wait for a language model side by side."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlannedSchedule(_Strict):
    """One schedule; ``parameters`` take the place of the deployment's own."""

    slug: str
    cron: str
    timezone: str = "UTC"
    active: bool = True
    parameters: dict[str, Any] = Field(default_factory=dict)


class PlannedLimit(_Strict):
    """How many runs of one deployment go at once, and what becomes of one more."""

    limit: int = Field(ge=1)
    collision_strategy: ConcurrencyLimitStrategy = ConcurrencyLimitStrategy.ENQUEUE


class PlannedPool(_Strict):
    """The pool whose workers run it."""

    name: str
    job_variables: dict[str, Any] = Field(default_factory=dict)


class PlannedDeployment(_Strict):
    """One deployment as the file tells of it."""

    name: str
    entrypoint: str = Field(pattern=r"^[\w.]+$")
    description: str = Field(min_length=1)
    tags: tuple[str, ...]
    parameters: dict[str, Any] = Field(default_factory=dict)
    schedules: tuple[PlannedSchedule, ...] = ()
    concurrency_limit: PlannedLimit
    work_pool: PlannedPool


class Plan(_Strict):
    """The whole file; ``definitions`` only holds what YAML's anchors repeat."""

    name: str
    pull: tuple[dict[str, Any], ...] = Field(min_length=1)
    definitions: dict[str, Any] = Field(default_factory=dict)
    deployments: tuple[PlannedDeployment, ...] = Field(min_length=1)


def read_plan(file: Path = FILE) -> Plan:
    """The plan of a file.

    Raises:
        InputError: it is absent, no YAML, or says what no deployment has.
    """
    try:
        return Plan.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(f"no file {file}", "prefect.yaml", "run it in a checkout") from None
    except yaml.YAMLError as error:
        raise InputError(f"{file}, which is no YAML", "YAML", f"correct it: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"'{place}' of {file}", first["msg"].lower(), "correct it") from None


def with_replicas(plan: Plan) -> Plan:
    """The same, with sources that have no raw data read from their synthetic stand-ins."""

    def changed(parameters: dict[str, Any]) -> dict[str, Any]:
        told = dict(parameters)
        if "asked" in told:  # an order inside what is asked of it
            told["asked"] = changed(told["asked"])
        if "order" in told:
            told["order"] = {**told["order"], "replicas": True}
        return told

    deployments = tuple(
        each.model_copy(
            update={
                "parameters": changed(each.parameters),
                "schedules": tuple(
                    one.model_copy(update={"parameters": changed(one.parameters)})
                    for one in each.schedules
                ),
            }
        )
        for each in plan.deployments
    )
    return plan.model_copy(update={"deployments": deployments})


def register(plan: Plan, kind: PoolKind, on_done: Callable[[str], None]) -> None:
    """Make or update pools, deployments and automations.

    Args:
        kind: where pools start their runs.
        on_done: called with what has just been registered.
    """
    ids = {}
    with get_client(sync_client=True) as client:
        for name in sorted({each.work_pool.name for each in plan.deployments}):
            make_pool(client, name, kind)
            on_done(f"work pool {name} ({kind})")
        for each in plan.deployments:
            ids[each.name] = make_deployment(client, plan, each)
            on_done(f"deployment {each.name}")
        for name in register_automations(client, ids["attend"]):
            on_done(f"automation {name}")


def make_deployment(client: SyncPrefectClient, plan: Plan, planned: PlannedDeployment) -> UUID:
    """One deployment, with the schema of its flow's parameters; its id."""
    flow: Flow[..., Any] = load_flow_from_entrypoint(planned.entrypoint)
    limit = planned.concurrency_limit
    return client.create_deployment(
        client.create_flow_from_name(flow.name),
        planned.name,
        description=planned.description,
        tags=list(planned.tags),
        entrypoint=planned.entrypoint,
        pull_steps=list(plan.pull),
        parameters=planned.parameters,
        parameter_openapi_schema=parameter_schema(flow).model_dump(exclude_unset=True),
        enforce_parameter_schema=True,
        schedules=[
            DeploymentScheduleCreate(
                schedule=CronSchedule(cron=one.cron, timezone=one.timezone),
                active=one.active,
                parameters=one.parameters,
                slug=one.slug,
            )
            for one in planned.schedules
        ],
        concurrency_limit=limit.limit,
        concurrency_options=ConcurrencyOptions(collision_strategy=limit.collision_strategy),
        work_pool_name=planned.work_pool.name,
        job_variables=planned.work_pool.job_variables,
    )


def make_pool(client: SyncPrefectClient, name: str, kind: PoolKind) -> None:
    """A pool with our template; one that is there keeps the limit that a person gave it.

    Raises:
        InputError: a pool of that name starts its runs elsewhere.
    """
    template, prefect_kind = pool_template(kind), "process" if kind == "slurm" else kind
    try:
        found = client.read_work_pool(name)
    except ObjectNotFound:
        pool = WorkPoolCreate(
            name=name,
            type=prefect_kind,
            base_job_template=template,
            concurrency_limit=RUNS_AT_ONCE.get(name),
        )
        client.create_work_pool(pool)
        return
    if found.type != prefect_kind:
        raise InputError(
            f"work pool '{name}' of kind {found.type}", prefect_kind, "delete it or give --pools"
        )
    client.update_work_pool(name, WorkPoolUpdate(base_job_template=template))


def pool_template(kind: PoolKind) -> dict[str, Any]:
    """The job template of a kind of pools: a schema of variables, and what they fill in."""
    if kind == "process":
        return ProcessWorker.get_default_base_job_template()
    text = (POOL_TEMPLATES / f"{kind}.json").read_text(encoding="utf-8")
    template: dict[str, Any] = json.loads(text)
    return template
