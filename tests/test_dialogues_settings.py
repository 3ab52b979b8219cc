"""Dialogues in a recipe: what is asked, what it touches, and what one without them keeps."""

from __future__ import annotations

import pytest

from infra.errors import SettingsError
from infra.settings import load_settings
from infra.settings.dialogues import DialogueSettings
from tasks.adapt import require_known
from tasks.graph import Graph, build_graph

ROUTES = 'dialogues.routes={mimic_cxr=["converse","request"],brax=["request"]}'
SETS = (
    'sets={reports={},talks={task="dialogue"},films={task="generate"}}',
    'abilities.llava_rad.examples="reports"',
    "stages.finetune.examples={reports=0.5,talks=0.3,films=0.2}",
    'stages.finetune.learn="answers"',
    "stages.language.examples={films=1.0}",
)


def graph(*overrides: str) -> Graph:
    settings = load_settings("llava_rad", "tiny", overrides)
    return build_graph(settings, {}, frozenset(settings.sources.names))


def changed(before: Graph, after: Graph) -> set[str]:
    keys = before.steps.keys() & after.steps.keys()
    return {key for key in keys if before[key].fingerprint != after[key].fingerprint}


def test_a_recipe_without_dialogues_has_no_such_step_and_keeps_its_fingerprints() -> None:
    plain = graph()
    assert not plain.of_kind("dialogues")
    words = [str(step.settings) + str(step.inputs) for step in plain.steps.values()]
    assert not [text for text in words if "dialogue" in text]
    asked = graph("dialogues.questions=9", "dialogues.share={request=0.5}")
    assert changed(plain, asked) == set()


def test_dialogues_are_made_of_studies_and_reports_of_their_sources() -> None:
    plan = graph(ROUTES)
    assert [step.name for step in plan.of_kind("dialogues")] == ["mimic_cxr", "brax"]
    assert set(plan["dialogues/brax"].inputs) == {"studies/brax", "reports/brax"}
    assert changed(graph(), plan) == set(), "nothing reads them yet"


def test_sets_of_dialogues_read_them_in_place_of_reports() -> None:
    plan = graph(ROUTES, *SETS)
    talks = plan["examples/talks"].inputs
    assert {key for key in talks if key.startswith("dialogues/")} == {
        "dialogues/mimic_cxr",
        "dialogues/brax",
    }
    assert not [key for key in talks if key.startswith("reports/")]
    assert "images/mimic_cxr" in talks
    assert not [key for key in plan["examples/reports"].inputs if key.startswith("dialogues/")]
    assert set(plan["stages/finetune"].inputs) >= {f"examples/{name}" for name in (
        "reports", "talks", "films")}  # fmt: skip


def test_how_dialogues_are_asked_for_touches_what_reads_them_alone() -> None:
    before = graph(ROUTES, *SETS)
    touched = changed(before, graph(ROUTES, *SETS, "dialogues.questions=9"))
    assert {"dialogues/mimic_cxr", "examples/talks", "stages/finetune"} <= touched
    assert not touched & {"reports/mimic_cxr", "examples/reports", "stages/pretrain"}
    share = changed(before, graph(ROUTES, *SETS, "reports.largest_failed_share=0.2"))
    assert "reports/brax" in share


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (SETS, "set talks of task dialogue without a source whose dialogues.routes have converse"),
        (
            ('dialogues.routes={brax=["converse"]}', *SETS),
            "set films of task generate without a source whose dialogues.routes have request",
        ),
        (("dialogues.routes={brax=[]}",), "dialogues.routes.brax is empty or names a route twice"),
        (('dialogues.routes={brax=["talk"]}',), "'converse' or 'request'"),
        (("dialogues.share={request=0}",), "a value greater than 0"),
        (("dialogues.questions=0",), "a value greater than or equal to 1"),
        (
            (
                ROUTES,
                *SETS[:1],
                'abilities={reports={examples="reports"},asked={kind="vqa",examples="talks"}}',
                *SETS[2:],
            ),
            "ability asked of kind vqa reads talks, a set of dialogue, which is trained on alone",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings("llava_rad", "tiny", overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_source_is_named() -> None:
    settings = load_settings("llava_rad", "tiny", ('dialogues.routes={mimik=["request"]}',))
    with pytest.raises(SettingsError, match=r"found 'mimik' in dialogues\.routes"):
        require_known(settings)


def test_a_route_without_a_share_asks_of_all() -> None:
    settings = DialogueSettings(share={"request": 0.25})
    assert (settings.share_of("converse"), settings.share_of("request")) == (1.0, 0.25)
