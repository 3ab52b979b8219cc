"""The image head over all patches: what it reads, what it weighs, and where it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from contrast_world import batch
from models_world import MODELS
from pydantic import ValidationError
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from infra.errors import InputError
from infra.settings import load_settings
from infra.settings.stages import ModelSettings
from models.convert.encoder import export_encoder
from models.dual_encoder import CxrDualEncoder, dual_encoder_config, patches_of
from models.flops import batch_flops, lengths_of, networks_of

PATCHES, WIDTH = 16, 32
TOWERS = ("dinov2", "clip", "siglip")


def shapes(architecture: str, pooling: str = "patches") -> ModelSettings:
    told = MODELS.model_dump()
    told["vision"] |= {"architecture": architecture, "pooling": pooling}
    told["text_encoder"]["dropout"] = 0.0
    return ModelSettings.model_validate(told)


def encoder(architecture: str = "dinov2", pooling: str = "patches") -> CxrDualEncoder:
    torch.manual_seed(0)
    model = CxrDualEncoder(dual_encoder_config(shapes(architecture, pooling), 300))
    model.train()
    return model


def films(rows: int = 3) -> torch.Tensor:
    return torch.randn(rows, 3, 28, 28, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("architecture", TOWERS)
def test_head_reads_every_patch_and_never_cls(architecture: str) -> None:
    model = encoder(architecture)
    assert patches_of(model.config.vision_config) == PATCHES
    assert tuple(model.visual_projection.weight.shape) == (16, PATCHES * WIDTH)
    with torch.no_grad():
        states = model.vision_model(pixel_values=films()).last_hidden_state
        embedded = model.embed_images(films())
        special = states.shape[1] - PATCHES
        assert special == (0 if architecture == "siglip" else 1)
        weights = model.visual_projection.weight.reshape(16, PATCHES, WIDTH)
        by_hand = torch.einsum("bpw,epw->be", states[:, special:], weights)
    torch.testing.assert_close(embedded, functional.normalize(by_hand, dim=-1))


def test_a_place_has_weights_of_its_own() -> None:
    """Only the head's weights of one place are left: other places' states do not count."""
    model = encoder()
    with torch.no_grad():
        kept = model.visual_projection.weight.reshape(16, PATCHES, WIDTH).clone()
        kept[:, [place for place in range(PATCHES) if place != 5]] = 0
        model.visual_projection.weight.copy_(kept.reshape(16, -1))
        states = model.vision_model(pixel_values=films()).last_hidden_state[:, 1 + 5]
        expected = functional.normalize(states @ kept[:, 5].T, dim=-1)
        torch.testing.assert_close(model.embed_images(films()), expected)


@pytest.mark.parametrize("architecture", TOWERS)
def test_every_trained_weight_gets_a_gradient(architecture: str) -> None:
    """One that got none would stop a training over several ranks."""
    model = encoder(architecture)
    model(**batch()).loss.backward()
    without = [
        name for name, each in model.named_parameters() if each.requires_grad and each.grad is None
    ]
    assert without == []


def test_saved_and_loaded_it_embeds_alike(tmp_path: Path) -> None:
    model = encoder().eval()
    model.save_pretrained(tmp_path)
    again = CxrDualEncoder.from_pretrained(tmp_path).eval()
    assert again.config.image_pooling == "patches"
    with torch.no_grad():
        torch.testing.assert_close(again.embed_images(films()), model.embed_images(films()))


def test_a_folder_that_tells_nothing_is_pooled_by_its_tower(tmp_path: Path) -> None:
    """Folders from before the setting hold no word of it."""
    model = encoder(pooling="tower").eval()
    model.save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    lines = [line for line in config.read_text().splitlines() if "image_pooling" not in line]
    config.write_text("\n".join(lines))
    again = CxrDualEncoder.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(again.embed_images(films()), model.embed_images(films()))


def test_counted_operations_hold_the_wider_head() -> None:
    model, pairs = encoder(), batch()
    pairs["attention_mask"] = torch.ones_like(pairs["attention_mask"])
    model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        model(**pairs).loss.backward()
    ours = batch_flops(networks_of(model), lengths_of(pairs, PATCHES), causal_as_half=False)
    assert ours == pytest.approx(float(counter.get_total_flops()), rel=0.02)


def test_the_releases_layout_has_no_place_for_it(tmp_path: Path) -> None:
    encoder().save_pretrained(tmp_path / "dual")
    with pytest.raises(InputError, match="found an image head over patches in"):
        export_encoder(tmp_path / "dual", tmp_path / "out.pt", tmp_path / "out.json")
    assert not (tmp_path / "out.pt").exists()


def test_paper_scale_pools_as_the_release_and_the_demo_reads_patches() -> None:
    assert load_settings("llava_rad", "paper").models.vision.pooling == "tower"
    assert load_settings("llava_rad", "tiny").models.vision.pooling == "patches"
    with pytest.raises(ValidationError, match="pooling"):
        shapes("dinov2", "mean")
