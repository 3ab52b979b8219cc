"""prefect.yaml: every flow is deployed, with parameters that its own types accept."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cli_world import Say
from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.automations import EventTrigger
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import ValidationError, validate

from flows.automations import automations
from flows.deployments import (
    POOL_TEMPLATES,
    Plan,
    PlannedDeployment,
    pool_template,
    read_plan,
    with_replicas,
)
from infra.errors import InputError
from infra.settings import preset_names
from infra.stack.table import POOLS
from tasks.attend.work import OWN_TAG
from tests.small_world import HOUSE

PLAN = read_plan()
NAMES = [planned.name for planned in PLAN.deployments]
NEEDS_MORE = {"ablate": {"matrix"}, "compare-recipes": {"asked"}, "judge-candidate": {"asked"}}
"""What a person must give: there is no default comparison."""


def flow_of(planned: PlannedDeployment) -> Flow[..., Any]:
    found = load_flow_from_entrypoint(planned.entrypoint)
    assert isinstance(found, Flow)
    return found


def test_every_flow_has_a_deployment() -> None:
    """Flows are functions of ``flows/`` that ``@flow(name=…)`` decorates."""
    flows = {
        f"flows.{path.stem}.{node.name}"
        for path in (HOUSE / "flows").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        for each in node.decorator_list
        if isinstance(each, ast.Call) and ast.unparse(each.func) == "flow"
    }
    assert len(flows) >= 11
    assert {planned.entrypoint for planned in PLAN.deployments} == flows


def test_names_are_unique_and_every_recipe_has_a_pipeline() -> None:
    assert len(set(NAMES)) == len(NAMES)
    recipes = {
        planned.parameters["order"]["recipe"]
        for planned in PLAN.deployments
        if planned.entrypoint == "flows.pipeline.pipeline"
    }
    assert recipes == {recipe for recipe, _ in preset_names()}


@pytest.mark.parametrize("planned", PLAN.deployments, ids=NAMES)
def test_parameters_fit_the_flow_and_its_schema_tells_of_each(planned: PlannedDeployment) -> None:
    flow = flow_of(planned)
    schema = parameter_schema(flow).model_dump_for_openapi()
    lacking = set(schema.get("required", ())) - set(planned.parameters)
    assert lacking == NEEDS_MORE.get(planned.name, set())
    changed = with_replicas(PLAN).deployments[NAMES.index(planned.name)]
    for one in (planned, changed):
        for parameters in (one.parameters, *(each.parameters for each in one.schedules)):
            given = {**one.parameters, **parameters}
            validate(given, schema, raise_on_error=True, ignore_required=bool(lacking))
            if not lacking:
                flow.validate_parameters(given)


def test_the_pages_show_what_an_orders_fields_mean_and_take() -> None:
    planned = PLAN.deployments[NAMES.index("llava-rad")]
    schema = parameter_schema(flow_of(planned)).model_dump_for_openapi()
    fields = schema["definitions"]["Order"]["properties"]
    assert [name for name, field in fields.items() if not field.get("description")] == []
    assert "medxchat" in fields["recipe"]["enum"]
    bad: list[dict[str, Any]] = [
        {"order": {"recipe": "llava"}},
        {"order": {"overrides": ["no equals sign"]}},
        {"order": {"replicas": "perhaps"}},
        {"order": {}, "until": "the end"},
    ]
    for parameters in bad:
        with pytest.raises(ValidationError):
            validate(parameters, schema, raise_on_error=True)


def test_schedules_and_limits_are_what_prefect_takes() -> None:
    active = {}
    for planned in PLAN.deployments:
        assert planned.work_pool.name in POOLS
        assert planned.concurrency_limit.limit == 1
        slugs = [one.slug for one in planned.schedules]
        assert len(set(slugs)) == len(slugs)
        for one in planned.schedules:
            CronSchedule(cron=one.cron, timezone=one.timezone)
            if one.active:
                active[planned.name] = one.cron
    assert active == {"ingest": "30 2 * * *", "attend": "*/5 * * * *"}


def test_replicas_are_asked_for_in_every_order_and_schedule() -> None:
    def orders(plan: Plan) -> list[dict[str, Any]]:
        each = [one.parameters for planned in plan.deployments for one in planned.schedules]
        each += [planned.parameters for planned in plan.deployments]
        each += [parameters["asked"] for parameters in each if "asked" in parameters]
        return [parameters["order"] for parameters in each if "order" in parameters]

    assert not any(order.get("replicas") for order in orders(PLAN))
    assert all(order["replicas"] for order in orders(with_replicas(PLAN)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("deployments: [", "which is no YAML"),
        ("name: x\npull: [{a: {}}]\ndeployments: []", "'deployments' of"),
        ("name: x\nsecond: y\npull: [{a: {}}]", "of"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=told) as caught:
        read_plan(file)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="found no file"):
        read_plan(tmp_path / "absent.yaml")


def test_automations_watch_our_runs_and_wake_one_that_none_watches() -> None:
    attend = PLAN.deployments[NAMES.index("attend")]
    assert OWN_TAG not in attend.tags
    assert all(OWN_TAG in each.tags for each in PLAN.deployments if each is not attend)
    made = automations(uuid4(), 30)
    assert len({each.name for each in made}) == 5
    for each in made:
        assert isinstance(each.trigger, EventTrigger)
        if any(event.startswith("prefect.flow-run") for event in each.trigger.expect):
            related = each.trigger.model_dump(mode="json")["match_related"]
            assert related["prefect.resource.id"] == f"prefect.tag.{OWN_TAG}"


@pytest.mark.parametrize("kind", ["process", "kubernetes", "slurm"])
def test_templates_fill_in_only_what_they_define(kind: Any) -> None:
    import re

    template = pool_template(kind)
    used = set(re.findall(r"{{ (\w+) }}", str(template["job_configuration"])))
    assert used == set(template["variables"]["properties"])
    assert len(list(POOL_TEMPLATES.glob("*.json"))) == 2


def test_deploying_without_a_server_is_one_line(cxr: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    said = cxr("deploy")
    assert said.code == 2
    assert said.err == (
        "error: found no PREFECT_API_URL; expected the address of Prefect's server; source the "
        "stack's env.sh\n"
    )
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert (
        "error: found --pools docker; expected process," in cxr("deploy", "--pools", "docker").err
    )


def test_a_stack_that_is_not_there_is_one_line(cxr: Say, tmp_path: Path) -> None:
    for word in ("status", "stop"):
        said = cxr("stack", word, "--folder", tmp_path)
        assert said.code == 2
        assert said.err.startswith(f"error: found no stack at {tmp_path}; expected a folder that")
