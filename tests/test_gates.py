"""Gates and licences as files: what is shipped fits the recipes, and what is wrong is one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from evaluation.drawn_scores import SHUFFLED, UNTRAINED
from evaluation.image_quality import AUROC
from evaluation.paired import known_metrics
from evaluation.vqa import METRICS
from infra.errors import SettingsError
from infra.licences import Use, weight_licences
from infra.settings import load_settings, preset_names
from infra.settings.gates import load_gates
from sources.catalog import catalog

KINDS = [
    (recipe, scale, name)
    for recipe, scale in preset_names()
    for name in load_settings(recipe, scale).abilities
]


@pytest.mark.parametrize(("recipe", "scale", "name"), KINDS)
def test_every_ability_of_every_recipe_has_a_gate_of_metrics_that_it_is_scored_in(
    recipe: str, scale: str, name: str
) -> None:
    settings = load_settings(recipe, scale)
    ability = settings.abilities[name]
    gate = load_gates().gate(ability.kind, ability.model_name, scale)
    known = {
        "report": known_metrics(settings.score),
        "vqa": list(METRICS),
        "draw": [f"{AUROC}-macro"],
    }[ability.kind]
    assert {one.metric for one in gate.metrics} | {gate.beats_controls_in} <= set(known)
    controls = (UNTRAINED, SHUFFLED) if ability.kind == "draw" else settings.score.controls
    assert set(gate.controls) <= set(controls)


def test_the_gate_of_the_papers_scale_is_the_narrower() -> None:
    gates = load_gates()
    tiny, paper = (gates.gate("report", "llava_rad", scale) for scale in ("tiny", "paper"))
    assert paper.fewest_subjects > tiny.fewest_subjects
    assert paper.metrics[0].margin < tiny.metrics[0].margin


def weights(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if key == "weights" and value:
                yield value
            yield from weights(value)


def test_the_licence_of_every_weight_that_a_recipe_names_is_known() -> None:
    named = {
        name
        for recipe, scale in preset_names()
        for name in weights(load_settings(recipe, scale).models.model_dump())
    }
    assert len(named) >= 4
    assert named <= weight_licences().keys()


def test_what_is_open_and_what_is_gated_is_told_by_the_cards() -> None:
    uses = {name: source.card.use for name, source in catalog().items()}
    assert uses["nih_cxr14"] is uses["vqa_rad"] is Use.COMMERCIAL
    assert uses["manifest"] is Use.INTERNAL
    assert uses["object_cxr"] is None
    gated = ("mimic_cxr", "chexpert", "padchest", "vindr_cxr", "brax", "candid_ptx", "rrg24")
    assert {uses[name] for name in gated} == {Use.RESEARCH}


def gates_at(tmp_path: Path, text: str) -> Path:
    place = tmp_path / "gates.toml"
    place.write_text(text)
    return place


ONE = """
[[gates]]
kind = "report"
models = ["{model}"]
fewest_subjects = {size}
beats_controls_in = "x"
[[gates.metrics]]
metric = "x"
margin = 0.1
"""


def test_the_first_gate_that_fits_holds(tmp_path: Path) -> None:
    text = ONE.format(model="a", size=1) + ONE.format(model="b", size=2)
    gates = load_gates(gates_at(tmp_path, text + ONE.format(model="b", size=3)))
    assert gates.use is Use.RESEARCH
    assert [gates.gate("report", name, "tiny").fewest_subjects for name in "ab"] == [1, 2]
    with pytest.raises(SettingsError, match="no gate for an ability of kind report of c at scale"):
        gates.gate("report", "c", "tiny")
    with pytest.raises(SettingsError, match="without a gate nothing is promoted"):
        gates.gate("vqa", "a", "tiny")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gates = [", "Invalid value (at end of document)"),
        ("[[gates]]\nkind = 'report'", "'gates.0.fewest_subjects' of gates.toml"),
        ("gates = []\nuse = 'war'", "'use' of gates.toml; expected 'research', 'internal' or"),
        ("gates = []\nwidth = 3", "'width' of gates.toml"),
        (ONE.format(model="a", size=1).replace("0.1", "-1"), "a value greater than or equal to 0"),
        (ONE.format(model="a", size=1).replace("0.1", "nan"), "margin"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_gates(gates_at(tmp_path, text))
    assert told in str(caught.value)
    assert str(caught.value).endswith("see infra/gates.toml for the form")


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no gates at .*nowhere"):
        load_gates(tmp_path / "nowhere.toml")
