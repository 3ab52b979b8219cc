"""CXR-SD in a recipe: what is refused, and what each stage's fingerprint covers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from diffusion_world import DIFFUSION, STAGES, drawing_models, drawing_stage
from pydantic import ValidationError

from infra.errors import SettingsError
from infra.settings import Settings, load_settings
from infra.settings.diffusion import DiffusionSettings, DrawSettings, NoiseSettings, touched_by
from tasks.context import Order, open_context
from tasks.graph import build_graph
from tasks.preflight import _require_weights


def drawing_recipe(*overrides: str, **diffusion: Any) -> Settings:
    """LLaVA-Rad's tiny recipe with the three stages behind its own."""
    base = load_settings("llava_rad", "tiny", overrides)
    tree = base.model_dump(mode="json")
    tree["models"]["diffusion"] = {**DIFFUSION, **diffusion}
    tree["stages"] += [drawing_stage(kind).model_dump(mode="json") for kind in STAGES]
    return Settings.model_validate(tree)


def stage_prints(settings: Settings) -> dict[str, str]:
    graph = build_graph(settings, {}, frozenset(settings.sources.names))
    return {step.name: step.fingerprint for step in graph.of_kind("stages")}


def test_stages_that_draw_leave_all_others_as_they_were() -> None:
    plain = stage_prints(load_settings("llava_rad", "tiny"))
    drawing = stage_prints(drawing_recipe())
    assert drawing.keys() - plain.keys() == set(STAGES)
    assert {name: drawing[name] for name in plain} == plain


def test_a_stage_depends_on_the_shapes_that_it_reads_alone() -> None:
    before = stage_prints(drawing_recipe())

    def changed(**diffusion: Any) -> set[str]:
        after = stage_prints(drawing_recipe(**diffusion))
        return {name for name in STAGES if after[name] != before[name]}

    assert changed(guide="decoder") == {"guide"}
    assert changed(hint_reach=2) == {"guide"}
    assert changed(hint_weight=1.0) == {"guide"}
    assert changed(context_tokens=20) == {"diffuse", "guide"}
    assert changed(image_px=64) == set(STAGES)
    unet = {"channels": [8, 24], "heads": [2, 2], "groups": 4}
    assert changed(unet=unet) == {"diffuse", "guide"}


def test_the_autoencoder_does_not_know_the_rest() -> None:
    dumped = DiffusionSettings.model_validate(DIFFUSION).model_dump()
    assert touched_by("autoencode", dumped).keys() == {"weights", "image_px", "fit", "autoencoder"}
    assert touched_by("guide", dumped) == dumped


UNET = {"channels": [8, 16], "heads": [2, 2], "groups": 4}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_px": 40}, "image_px 40 is no multiple of 16"),
        ({"unet": None}, "needs an autoencoder and a unet"),
        ({"weights": "sd"}, "bring their own autoencoder and unet"),
        (
            {"unet": {**UNET, "channels": [8, 18]}},
            "unet.channels 18 is no multiple of its 4 groups",
        ),
        ({"unet": {**UNET, "heads": [2]}}, "other numbers of heads or attends"),
        ({"unet": {**UNET, "heads": [2, 3]}}, "16 is no multiple of its 3 heads"),
        ({"autoencoder": {"channels": [9], "latent_channels": 4}}, "9 is no multiple of its 8"),
        ({"noise": {"to_the_end": True}}, "needs prediction 'v_prediction'"),
        ({"noise": {"beta_start": 0.5}}, "beta_end 0.012 is below beta_start 0.5"),
        ({"guide": "both"}, "zero-convolutions"),
        ({"guide": "decoder", "hint_weight": 1.0}, "'decoder' has no hint"),
        ({"hint_steps": 3}, "set hint_weight"),
        ({"context_tokens": 2}, "greater than or equal to 8"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DiffusionSettings.model_validate({**DIFFUSION, **changes})


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("guide", {"trainable": ["unet"]}, "cannot train unet"),
        ("guide", {"deepspeed_zero": 2}, "deepspeed_zero is not there"),
        ("diffuse", {"gradient_checkpointing": True}, "gradient_checkpointing is not there"),
        ("diffuse", {"weights": "sd"}, "weights is not there"),
        ("diffuse", {"ema": 1.0}, "less than 1"),
    ],
)
def test_stages_that_make_no_sense_are_refused(
    kind: str, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        drawing_stage(kind, **changes)


def test_a_running_mean_is_for_stages_that_draw() -> None:
    with pytest.raises(SettingsError, match="keeps no running mean"):
        load_settings("llava_rad", "tiny", ["stages.language.ema=0.9"])


@pytest.mark.parametrize(
    ("leave_out", "kind", "said"),
    [
        ("diffuse", "guide", "stage guide starts from no stage of kind diffuse"),
        ("autoencode", "diffuse", "stage diffuse starts from no stage of kind autoencode"),
    ],
)
def test_a_stage_starts_from_the_parts_that_it_does_not_train(
    leave_out: str, kind: str, said: str
) -> None:
    tree = drawing_recipe().model_dump(mode="json")
    for each in tree["stages"]:
        if each["name"] == kind:
            each["starts_from"] = [name for name in each["starts_from"] if name != leave_out]
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate(tree)


def test_published_weights_need_no_earlier_stage_and_no_autoencode() -> None:
    tree = load_settings("llava_rad", "tiny").model_dump(mode="json")
    tree["models"]["diffusion"] = {"weights": "stabilityai/stable-diffusion-2-1", "image_px": 256}
    guide = drawing_stage("guide", starts_from=[]).model_dump(mode="json")
    tree["stages"].append(guide)
    assert Settings.model_validate(tree).stage("guide").draws
    tree["stages"].append(drawing_stage("autoencode").model_dump(mode="json"))
    with pytest.raises(ValidationError, match=r"trains what diffusion\.weights bring"):
        Settings.model_validate(tree)


def test_absent_weights_are_told_before_anything_starts(tmp_path: Path) -> None:
    tree = load_settings("llava_rad", "tiny").model_dump(mode="json")
    tree["models"]["diffusion"] = {"weights": "a/pipeline", "image_px": 256}
    tree["stages"].append(drawing_stage("guide", starts_from=[]).model_dump(mode="json"))
    order = Order(data_root=str(tmp_path / "data"), replicas=True)
    context = replace(open_context(order, make=False), settings=Settings.model_validate(tree))
    with pytest.raises(SettingsError, match=r"stage 'guide' without its weights.*a/pipeline"):
        _require_weights(context, "guide")


def test_a_stage_that_draws_needs_the_shapes() -> None:
    tree = load_settings("llava_rad", "tiny").model_dump(mode="json")
    tree["stages"].append(drawing_stage("autoencode").model_dump(mode="json"))
    with pytest.raises(ValidationError, match="models has no diffusion"):
        Settings.model_validate(tree)


def test_the_defaults_are_the_released_codes() -> None:
    assert (DrawSettings().steps, DrawSettings().guidance) == (50, 1.1)
    noise = NoiseSettings()
    assert (noise.steps, noise.beta_start, noise.beta_end) == (1000, 0.00085, 0.012)
    assert drawing_models().drawing.context_tokens == 16
    assert DiffusionSettings(weights="sd", image_px=256).context_tokens == 77


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["stages.guide.steps=1500"], "diffusion.hint_steps 1500 train the hint's guess alone"),
        (["models.diffusion.hint_steps=5000"], "none is left to guide"),
        (["models.diffusion.context_tokens=500"], "context_tokens 500 with text_encoder.positions"),
        (
            ["models.text_encoder.positions=64", "models.text_encoder.context_tokens=64"],
            "context_tokens 112 with text_encoder.positions 64",
        ),
    ],
)
def test_a_guide_that_could_not_be_trained_is_refused_before_anything_runs(
    changes: list[str], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings("medxchat", "tiny", changes)
    load_settings("medxchat", "tiny", ["stages.guide.steps=1501"])
