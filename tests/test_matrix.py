"""An ablation matrix: shorthands become overrides, and a bad one is one clear line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evaluation.coherence_system import coherence_metric_names
from evaluation.paired import known_metrics
from evaluation.vqa import METRICS
from infra.errors import InputError, SettingsError
from infra.settings import load_settings
from infra.settings.matrix import BASELINE, MatrixSettings, load_matrix, matrix_names
from sources.catalog import get_source
from sources.replicas.truth import ReplicaSpec
from tasks.ablate.plan import (
    AblationPlan,
    Unscored,
    additions,
    additions_json,
    additions_text,
    comparison_step,
    plan_variants,
)
from tasks.context import Order

VARIANT = {"name": "one", "question": "Why?"}


def matrix(*variants: dict[str, object], **more: object) -> MatrixSettings:
    tree = {"name": "small", "recipe": "llava_rad", "scale": "tiny", "variants": variants, **more}
    return MatrixSettings.model_validate(tree)


@pytest.mark.parametrize("name", matrix_names())
def test_every_shipped_matrix_plans_over_replicas(tmp_path: Path, name: str) -> None:
    given = load_matrix(name)
    plan = plan_variants(given, Order(replicas=True, data_root=str(tmp_path)), make=False)
    assert plan.skipped == ()
    assert len(plan.variants) == 1 + len(given.variants)
    read = ("consistency",) if name.startswith("gla_rrg24_sections") else ()
    read = (given.reading,) if given.reading else read
    for item in plan.variants:
        assert item.context.settings.readings == read


def own(given: MatrixSettings, name: str) -> tuple[str, ...]:
    return given.overrides()[name]


@pytest.mark.parametrize("name", matrix_names())
def test_every_shipped_matrix_gives_recipes_that_parse(name: str) -> None:
    given = load_matrix(name)
    for overrides in given.overrides().values():
        every = given.settled(overrides)  # as 'cxr ablate' runs it
        assert load_settings(given.recipe, given.scale, every).recipe == given.recipe


def test_skip_leaves_a_stage_out_and_the_next_starts_where_it_would_have() -> None:
    overrides = own(matrix({**VARIANT, "skip": ["align"]}), "one")
    assert overrides == ("stages.align.skip=true",)
    stages = {stage.name: stage for stage in load_settings("llava_rad", "tiny", overrides).stages}
    assert set(stages) == {"language", "pretrain", "finetune"}
    assert stages["finetune"].starts_from == ("language", "pretrain")


def test_two_stages_in_a_row_can_be_skipped() -> None:
    overrides = ["stages.pretrain.skip=true", "stages.align.skip=true"]
    stages = load_settings("llava_rad", "tiny", overrides).stages
    assert [stage.name for stage in stages] == ["language", "finetune"]
    assert stages[1].starts_from == ("language",)


def test_skip_false_is_no_change() -> None:
    assert load_settings("llava_rad", "tiny", ["stages.align.skip=false"]) == load_settings(
        "llava_rad", "tiny"
    )


def test_leaving_a_source_out_names_the_others_for_every_stage() -> None:
    overrides = own(matrix({**VARIANT, "leave_out": ["brax"]}), "one")
    settings = load_settings("llava_rad", "tiny", overrides)
    assert settings.stage("pretrain").sources == tuple(
        name for name in settings.sources.names if name != "brax"
    )
    assert settings.stage("finetune").sources == ("mimic_cxr",)
    assert settings.stage("language").sources is None


def test_shares_and_text_versions_go_to_the_stages_named() -> None:
    given = {**VARIANT, "share": 0.25, "text_versions": ["keep"], "stages": ["finetune"]}
    settings = load_settings("llava_rad", "tiny", own(matrix(given), "one"))
    assert settings.stage("finetune").share == 0.25
    assert settings.stage("finetune").text_versions == ("keep",)
    assert settings.stage("pretrain") == load_settings("llava_rad", "tiny").stage("pretrain")


def test_what_is_set_for_all_comes_first() -> None:
    given = matrix({**VARIANT, "set": ["generate.beams=2"]}, set=["stages.finetune.steps=5"])
    assert own(given, BASELINE) == ("stages.finetune.steps=5",)
    assert own(given, "one") == ("stages.finetune.steps=5", "generate.beams=2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("recipe = [", "expected TOML"),
        ('recipe = "llava_rad"', "found nothing at 'scale'"),
        ('recipe = "llava_rad"\nscale = "tiny"\nvariants = []', "'variants'"),
        ("x = 1", "'recipe'"),
        (f"x = {'[' * 5000}", "expected TOML"),
        (f"x = {'9' * 5000}", "expected TOML"),
        (
            'recipe = "a"\nscale = "b"\nvariants = [{name = "v", question = "?", x = 1}]',
            "one of name",
        ),
    ],
)
def test_a_file_that_is_no_matrix_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        load_matrix(str(file))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_matrix_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(SettingsError, match="learning_curve"):
        load_matrix("no_such")


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ({}, "does not differ"),
        ({"leave_out": ["brax"], "keep_only": ["brax"]}, "leave_out and keep_only"),
        ({"name": BASELINE, "share": 0.5}, "named baseline"),
        ({"share": 1.5}, "less than or equal"),
        ({"name": "a/b", "share": 0.5}, "pattern"),
        ({"shares": 0.5}, "shares"),
        ({"again": True, "skip": ["pretrain"]}, "sets more than seeds"),
        ({"again": True, "set": ["stages.finetune.steps=2"]}, "sets more than seeds"),
    ],
)
def test_a_variant_that_says_nothing_or_too_much_is_refused(
    tmp_path: Path, variant: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        matrix({**VARIANT, **variant})


def test_variants_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="names repeat: one"):
        matrix({**VARIANT, "share": 0.5}, {**VARIANT, "share": 0.25})


def test_metrics_that_repeat_or_that_nobody_knows_are_refused_before_training(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match="metrics repeat: rule14-micro-F1, rule14-micro-F1"):
        matrix({**VARIANT, "share": 0.5}, metrics=["rule14-micro-F1"] * 2)
    order = Order(recipe="llava_rad", scale="tiny", data_root=str(tmp_path), replicas=True)
    for name in ("rule14-micro-F2", "chexprompt[gpt-4]-errors"):
        with pytest.raises(SettingsError, match=r"found metric '.*' in matrix small"):
            plan_variants(matrix({**VARIANT, "share": 0.5}, metrics=[name]), order, make=False)


def test_every_shipped_matrix_asks_for_metrics_that_its_scores_have(tmp_path: Path) -> None:
    for name in matrix_names():
        asked = load_matrix(name)
        settings = load_settings(asked.recipe, asked.scale, asked.settled(asked.set))
        kind = settings.abilities[asked.tabulated(settings)].kind
        known = METRICS if kind == "vqa" else known_metrics(settings.score)
        known = coherence_metric_names() if asked.reading else known
        assert set(asked.metrics_of(kind)) <= set(known)


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ({"skip": ["alignn"]}, "stage 'alignn'"),
        ({"leave_out": ["braxx"]}, "source 'braxx' in variant one"),
        ({"leave_out": ["mimic_cxr"]}, "no source for stage align in variant one"),
        ({"share": 0.5, "stages": ["nothing"]}, "stage 'nothing'"),
    ],
)
def test_a_shorthand_that_does_not_fit_the_recipe_is_refused(
    variant: dict[str, object], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        matrix({**VARIANT, **variant}).overrides()


def test_variants_share_every_step_before_the_first_that_differs(tmp_path: Path) -> None:
    given = matrix(
        {"name": "projector", "question": "?", "set": ['models.projector="linear"']},
        {"name": "pixels", "question": "?", "set": ["images.short_side_px=64"]},
    )
    order = Order(replicas=True, data_root=str(tmp_path))
    plan = plan_variants(given, order, make=False)
    base, projector, pixels = (item.context.graph for item in plan.variants)
    for key in ("stages/language", "stages/pretrain", "examples/llava_rad"):
        assert base[key].fingerprint == projector[key].fingerprint
    assert base["stages/align"].fingerprint != projector["stages/align"].fingerprint
    assert base["reports/brax"].fingerprint == pixels["reports/brax"].fingerprint
    assert base["images/brax"].fingerprint != pixels["images/brax"].fingerprint

    found = additions(plan.variants)
    assert [item.exist for item in found] == [0, 0, 0]
    assert found[1].build == (
        *("stages/align", "stages/finetune", "predictions/llava_rad", "scores/llava_rad"),
    )
    assert found[1].steps == found[1].shared + 4
    assert f"3 variants, {sum(len(item.build) for item in found)} steps to build" in (
        additions_text(plan)
    )
    assert not list(tmp_path.iterdir())


def test_a_change_in_any_variant_is_another_table(tmp_path: Path) -> None:
    order = Order(replicas=True, data_root=str(tmp_path))
    steps = []
    for share in (0.25, 0.5):
        given = matrix({**VARIANT, "share": share})
        steps.append(comparison_step(given, plan_variants(given, order, make=False)))
    assert steps[0].fingerprint != steps[1].fingerprint
    assert set(steps[0].inputs) == {BASELINE, "one"}


def test_overrides_of_the_command_reach_every_variant(tmp_path: Path) -> None:
    given = matrix({**VARIANT, "share": 0.5})
    order = Order(replicas=True, data_root=str(tmp_path), overrides=("stages.finetune.steps=7",))
    for item in plan_variants(given, order, make=False).variants:
        assert item.context.settings.stage("finetune").steps == 7
        assert "stages.finetune.steps=7" not in item.overrides


# Sources that are not in the run, and names that are none.


def two_sources(tmp_path: Path, name: str) -> AblationPlan:
    """A matrix planned over raw data of MIMIC-CXR and CheXpert alone."""
    order = Order(sources=raw_sources(tmp_path), data_root=str(tmp_path / "data"))
    return plan_variants(load_matrix(name), order, make=False)


ALL_ROUTES = ["keep", "structure", "synthesize"]  # of MIMIC-CXR and CheXpert together


def raw_sources(tmp_path: Path) -> tuple[str, ...]:
    given = []
    for name in ("mimic_cxr", "chexpert"):
        write = get_source(name).write_replica
        assert write is not None
        folder = tmp_path / name
        write(folder, ReplicaSpec(studies=6, side_px=64, seed=3))
        given.append(f"{name}={folder}")
    return tuple(given)


def test_leaving_out_a_source_that_is_not_there_is_skipped_with_a_line(tmp_path: Path) -> None:
    plan = two_sources(tmp_path, "leave_one_source_out")
    assert [item.name for item in plan.variants] == [BASELINE, "without-chexpert"]
    reasons = {item.name: item.reason for item in plan.skipped}
    assert reasons["without-brax"] == "not run: source brax is not in this run"
    assert len(reasons) == 5
    pretrain = plan.variants[1].context.settings.stage("pretrain")
    assert pretrain.sources == ("mimic_cxr",)
    assert "without-brax" in additions_text(plan)
    assert "not run: source brax is not in this run" in additions_text(plan)
    rows = additions_json(plan)
    assert {"name": "without-brax", "skipped": reasons["without-brax"]} in rows


def test_a_variant_that_would_train_as_the_baseline_does_is_skipped(tmp_path: Path) -> None:
    given = matrix(
        {"name": "same-sources", "question": "?", "keep_only": ["mimic_cxr", "chexpert"]},
        {
            "name": "same-texts",
            "question": "?",
            "text_versions": ["keep", "structure", "synthesize"],
        },
        {"name": "same-share", "question": "?", "share": 1.0},
        {"name": "same-set", "question": "?", "set": ["stages.align.seed=0"]},
        {"name": "other", "question": "?", "set": ["stages.align.seed=1"]},
    )
    order = Order(sources=raw_sources(tmp_path), data_root=str(tmp_path / "data"))
    plan = plan_variants(given, order, make=False)
    assert [item.name for item in plan.variants] == [BASELINE, "other"]
    assert len(plan.skipped) == 4
    assert all("the same as the baseline" in item.reason for item in plan.skipped)


def test_a_recipe_alone_expands_over_all_of_its_sources() -> None:
    given = load_matrix("leave_one_source_out")
    settings = load_settings(given.recipe, given.scale, given.overrides()["without-brax"])
    assert settings.stage("pretrain").sources is not None
    assert given.skipped() == {}
    assert given.skipped(present=["mimic_cxr", "brax"]).keys() == {
        *("without-chexpert", "without-padchest", "without-vindr", "without-candid"),
        "without-object-cxr",
    }


@pytest.mark.parametrize(
    ("metric", "near"),
    [
        ("rule14-mikro-F1", "rule14-micro-F1"),
        ("chexprompt[gpt-4]-significant-errors", "chexprompt[offline-rules]-significant-errors"),
        ("RadGraph-F1", "RadGraph-F1[xl,"),
    ],
)
def test_a_metric_that_scores_cannot_have_stops_the_plan(
    tmp_path: Path, metric: str, near: str
) -> None:
    given = matrix({**VARIANT, "share": 0.5}, metrics=["rule14-micro-F1", metric])
    order = Order(replicas=True, data_root=str(tmp_path))
    with pytest.raises(InputError, match=re.escape(near)) as error:
        plan_variants(given, order, make=False)
    assert f"metric '{metric}' in matrix small" in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


def test_a_judge_renamed_by_the_command_is_another_metric(tmp_path: Path) -> None:
    judged = "chexprompt[offline-rules]-significant-errors"
    given = matrix({**VARIANT, "share": 0.5}, metrics=[judged])
    renamed = ('score.judges=["gpt-4"]',)
    order = Order(replicas=True, data_root=str(tmp_path), overrides=renamed)
    with pytest.raises(InputError, match=r"chexprompt\[gpt-4\]-"):
        plan_variants(given, order, make=False)


def test_a_metric_whose_weights_are_absent_is_planned(tmp_path: Path) -> None:
    given = matrix({**VARIANT, "share": 0.5}, metrics=["CheXbert-micro-F1-14[uncertain=negative]"])
    order = Order(replicas=True, data_root=str(tmp_path))
    assert len(plan_variants(given, order, make=False).variants) == 2


def test_a_failed_variant_makes_another_table(tmp_path: Path) -> None:
    given = matrix({**VARIANT, "share": 0.5}, {**VARIANT, "name": "two", "share": 0.25})
    plan = plan_variants(given, Order(replicas=True, data_root=str(tmp_path)), make=False)
    failed = [Unscored("two", "Why?", (), "failed: the loss has diverged")]
    whole, partly = comparison_step(given, plan), comparison_step(given, plan, failed)
    assert set(partly.inputs) == {BASELINE, "one"}
    assert whole.fingerprint != partly.fingerprint


def test_nothing_is_read_beside_scores_unless_the_matrix_says_so(tmp_path: Path) -> None:
    order = Order(replicas=True, data_root=str(tmp_path))
    plain = plan_variants(matrix({**VARIANT, "share": 0.5}), order, make=False)
    asked = plan_variants(
        matrix({**VARIANT, "share": 0.5}, set=['readings=["retrieval"]']), order, make=False
    )
    assert {item.context.settings.readings for item in plain.variants} == {()}
    assert {item.context.settings.readings for item in asked.variants} == {("retrieval",)}
    assert [item.overrides for item in plain.variants] == [
        item.overrides for item in asked.variants
    ]


def test_the_learning_curve_says_which_stages_see_fewer_subjects() -> None:
    for name in ("learning_curve", "llava_rad_tiny"):
        for variant in load_matrix(name).variants:
            if variant.share is not None:
                assert variant.stages is not None
                assert all(stage in variant.question for stage in variant.stages)
