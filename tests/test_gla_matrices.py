"""The matrices of gla_rrg24: which ability is tabulated, and which variants see the same films."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from test_ablate_answers import leave

from infra.errors import SettingsError
from infra.settings.matrix import load_matrix
from tasks.ablate.plan import comparison_step, plan_variants
from tasks.context import Order


def test_a_matrix_can_tabulate_another_ability_than_the_first(tmp_path: Path) -> None:
    order = Order(replicas=True, data_root=str(tmp_path))
    given = load_matrix("gla_rrg24_sections")
    both = plan_variants(given, order, make=False)
    assert {item.context.ability for item in both.variants} == {"gla_impression"}
    findings = plan_variants(load_matrix("gla_rrg24_sections_findings"), order, make=False)
    assert {item.context.ability for item in findings.variants} == {"gla_findings"}
    asked = [comparison_step(given, plan, ()) for plan in (both, findings)]
    assert asked[0].settings["ability"] == "gla_impression"
    one_model = both.variants[1].context
    assert one_model.settings.abilities["gla_impression"].stage == "finetune-findings"
    assert [step.name for step in one_model.graph.of_kind("models")] == ["gla_findings"]
    unknown = given.model_copy(update={"ability": "poetry"})
    with pytest.raises(SettingsError, match="ability 'poetry' in matrix gla_rrg24_sections"):
        plan_variants(unknown, order, make=False)


def test_the_first_film_alone_needs_no_other_examples(tmp_path: Path) -> None:
    order = Order(replicas=True, data_root=str(tmp_path))
    plan = plan_variants(load_matrix("gla_rrg24_images"), order, make=False)
    by_name = {item.name: item.context for item in plan.variants}
    base, one = by_name["baseline"], by_name["one-film"]
    for key in ("examples/rrg24_findings", "stages/language"):
        assert base.graph[key].fingerprint == one.graph[key].fingerprint
    assert base.graph["stages/pretrain"].fingerprint != one.graph["stages/pretrain"].fingerprint
    two = by_name["two-films"].settings.sets["rrg24_findings"]
    assert two.most_images == 2


def test_variants_whose_sets_hold_the_same_examples_are_told_as_one(tmp_path: Path) -> None:
    """Settings that differ may choose the same films: once the shards are there, they tell."""
    given, order = load_matrix("gla_rrg24_images"), Order(replicas=True, data_root=str(tmp_path))
    before = plan_variants(given, order)
    assert not before.skipped
    shards = {"baseline": 4, "three-films": 4, "two-films": 2, "eight-films": 2}
    for item in before.variants:
        if item.name in shards:
            table = {"train-000.parquet": pa.table({"films": [shards[item.name]]})}
            why = {"rejected.parquet": pa.table({"variant": [item.name]})}
            leave(item.context, "examples/rrg24_findings", table | why)
    after = plan_variants(given, order)
    reasons = {item.name: item.reason for item in after.skipped}
    assert reasons.keys() == {"three-films", "eight-films"}
    assert "the same as the baseline here" in reasons["three-films"]
    assert "the same as variant two-films here" in reasons["eight-films"]
