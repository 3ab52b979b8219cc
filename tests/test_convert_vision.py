"""Vision towers in timm's and CLIP's layout: outputs as the original's, positions as timm's."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from original_forward import clip_vit, norm, timm_vit
from release_world import (
    IMAGE_PX,
    VISION,
    Tensors,
    drawn,
    encoder_tensors,
    training_checkpoint,
    trunk_shapes,
)
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel

from infra.errors import InputError
from infra.runs import ConvertRun
from models.convert.vision import import_vision
from models.positions import resize_positions

WITHIN = 1e-5


def clip_tensors() -> Tensors:
    """OpenAI's layout: width 128, 2 blocks, patches of 14 px in a grid of 4."""
    w = 128
    shapes: dict[str, tuple[int, ...]] = {
        "class_embedding": (w,),
        "positional_embedding": (17, w),
        "conv1.weight": (w, 3, 14, 14),
        "proj": (w, 32),
        **{f"{name}.{end}": (w,) for name in ("ln_pre", "ln_post") for end in ("weight", "bias")},
    }
    for number in range(2):
        block = f"transformer.resblocks.{number}"
        shapes |= {f"{block}.{n}.{e}": (w,) for n in ("ln_1", "ln_2") for e in ("weight", "bias")}
        shapes |= {
            f"{block}.attn.in_proj_weight": (3 * w, w),
            f"{block}.attn.in_proj_bias": (3 * w,),
        }
        shapes |= {f"{block}.attn.out_proj.weight": (w, w), f"{block}.attn.out_proj.bias": (w,)}
        shapes |= {f"{block}.mlp.c_fc.weight": (4 * w, w), f"{block}.mlp.c_fc.bias": (4 * w,)}
        shapes |= {f"{block}.mlp.c_proj.weight": (w, 4 * w), f"{block}.mlp.c_proj.bias": (w,)}
    return drawn(shapes, seed=5)


def images() -> torch.Tensor:
    return torch.randn(2, 3, IMAGE_PX, IMAGE_PX, generator=torch.Generator().manual_seed(9))


def run_of(folder: Path, state: object, **changes: object) -> ConvertRun:
    """A run that reads ``state``, saved as the file it asks for."""
    folder.mkdir(exist_ok=True)
    torch.save(state, folder / "tower.pth")
    asked = {"action": "vision", "source": folder / "tower.pth", "output": folder / "out"}
    return ConvertRun.model_validate({**asked, **changes})


def converted(run: ConvertRun) -> torch.nn.Module:
    import_vision(run)
    model: torch.nn.Module = AutoModel.from_pretrained(run.output).eval()
    return model


@torch.no_grad()
@pytest.mark.parametrize("layer_scale", [True, False])
@pytest.mark.parametrize("prefix", ["", "visual.trunk.", "module.visual.trunk.", "trunk."])
def test_timm_tower_gives_the_originals_states(
    tmp_path: Path, layer_scale: bool, prefix: str
) -> None:
    """DINOv2 has LayerScale; BiomedCLIP's ViT-B/16 has none, and gets one whose scales are one."""
    state = drawn(trunk_shapes(VISION, layer_scale=layer_scale), seed=6)
    named = {f"{prefix}{name}": value for name, value in state.items()}
    tower = converted(run_of(tmp_path, {"state_dict": named, "epoch": 1}))
    ours = tower(images(), output_hidden_states=True)
    theirs = timm_vit(state, images(), VISION["heads"], "")
    assert len(ours.hidden_states) == len(theirs) == VISION["layers"] + 1
    for one, two in zip(ours.hidden_states, theirs, strict=True):
        assert (one - two).abs().max() < WITHIN
    last = norm(state, "norm", theirs[-1], 1e-6)
    assert (ours.last_hidden_state - last).abs().max() < WITHIN
    scales = [value for name, value in tower.state_dict().items() if "layer_scale" in name]
    assert all(bool((value == 1).all()) for value in scales) == (not layer_scale)


@torch.no_grad()
@pytest.mark.parametrize("prefix", ["", "visual."])
def test_clip_tower_gives_the_originals_states(tmp_path: Path, prefix: str) -> None:
    state = clip_tensors()
    named = {f"{prefix}{name}": value for name, value in state.items()}
    run = run_of(
        tmp_path, {**named, "token_embedding.weight": torch.ones(3, 4)} if prefix else named
    )
    tower = converted(run)
    ours = tower(images(), output_hidden_states=True)
    states, pooled = clip_vit(state, images(), heads=2)
    for one, two in zip(ours.hidden_states, states, strict=True):
        assert (one - two).abs().max() < WITHIN
    assert (ours.pooler_output - pooled).abs().max() < WITHIN
    assert AutoConfig.from_pretrained(run.output).hidden_act == "quick_gelu"


def test_what_stands_beside_a_tower_is_left_out_and_told(tmp_path: Path) -> None:
    state = drawn(trunk_shapes(VISION), seed=6)
    beside = {"mask_token": torch.ones(1, 128), "head.weight": torch.ones(7, 128)}
    facts = import_vision(run_of(tmp_path, {**state, **beside}))
    assert facts["left_out"] == ["head.weight", "mask_token"]
    assert facts == {
        "model_type": "dinov2",
        "image_px": 56,
        "patches": 16,
        "left_out": facts["left_out"],
    }
    with pytest.raises(InputError, match=r"found tensor 'reg_token' in tower\.pth"):
        import_vision(run_of(tmp_path, {**state, "reg_token": torch.ones(1, 4, 128)}))


def test_whole_training_checkpoint_gives_its_tower(tmp_path: Path) -> None:
    tower = converted(run_of(tmp_path, training_checkpoint(encoder_tensors())))
    kernel = encoder_tensors()["visual.trunk.patch_embed.proj.weight"]
    assert torch.equal(tower.embeddings.patch_embeddings.projection.weight, kernel)


def test_safetensors_are_read_too(tmp_path: Path) -> None:
    save_file(drawn(trunk_shapes(VISION), seed=6), tmp_path / "tower.safetensors")
    run = run_of(tmp_path, {}, source=tmp_path / "tower.safetensors", image_px=112)
    assert converted(run).config.image_size == 112


@pytest.mark.parametrize("heads", [5, 10**6])
def test_heads_that_do_not_divide_the_width_are_one_line(tmp_path: Path, heads: int) -> None:
    for name, state in {
        "timm": drawn(trunk_shapes(VISION), seed=6),
        "clip": clip_tensors(),
    }.items():
        (tmp_path / name).mkdir()
        with pytest.raises(InputError, match=f"found {heads} heads for .* wide; expected a number"):
            converted(run_of(tmp_path / name, state, heads=heads))


def test_heads_can_be_told(tmp_path: Path) -> None:
    state = drawn(trunk_shapes(VISION), seed=6)
    with torch.no_grad():
        tower = converted(run_of(tmp_path, state, heads=4))
        ours = tower(images(), output_hidden_states=True).hidden_states[-1]
        assert (ours - timm_vit(state, images(), 4, "")[-1]).abs().max() < WITHIN
        assert (ours - timm_vit(state, images(), 2, "")[-1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"patch_px": 16},
            "found patches of 14 px in tower.pth; expected 16 px as asked for; name a tower with "
            "such patches; only positions can be resized",
        ),
        (
            {"image_px": 60},
            "found patches of 14 px in tower.pth; expected a whole number of them in 60 px; choose "
            "a multiple of 14",
        ),
    ],
)
def test_patches_that_do_not_fit_are_refused(
    tmp_path: Path, changes: dict[str, int], message: str
) -> None:
    for state in (drawn(trunk_shapes(VISION), seed=6), clip_tensors()):
        with pytest.raises(InputError) as error:
            import_vision(run_of(tmp_path, state, **changes))
        assert str(error.value) == message


def timm_tensors() -> Tensors:
    return drawn(trunk_shapes(VISION), seed=6)


DAMAGES = {
    "no numbers": (
        "norm.weight",
        torch.full((VISION["width"],), torch.nan),
        "no finite numbers",
    ),
    "no values": ("norm.weight", torch.empty(VISION["width"], device="meta"), "without values"),
    "no axes": ("patch_embed.proj.weight", torch.ones(()), "a patch embedding () and"),
    "flat positions": ("pos_embed", torch.ones(VISION["width"]), "positions of 3"),
    "no patches": ("pos_embed", torch.ones(1, 1, VISION["width"]), "a square grid of patches"),
    "no axes in a block": ("blocks.0.mlp.fc1.weight", torch.ones(()), "found shape ()"),
    "no axes in a fused layer": ("blocks.0.attn.qkv.weight", torch.ones(()), "found 1 rows in"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_tower_is_one_line_and_leaves_nothing(tmp_path: Path, damage: str) -> None:
    name, tensor, words = DAMAGES[damage]
    with pytest.raises(InputError, match=re.escape(words)):
        import_vision(run_of(tmp_path, {**timm_tensors(), name: tensor}))
    assert not (tmp_path / "out").exists()


def test_a_tower_without_blocks_is_refused(tmp_path: Path) -> None:
    for tensors in (timm_tensors(), clip_tensors()):
        bare = {n: value for n, value in tensors.items() if "blocks." not in n}
        with pytest.raises(InputError, match="found 0 blocks"):
            import_vision(run_of(tmp_path, bare))


def test_a_tower_of_two_types_keeps_the_finer_ones_digits(tmp_path: Path) -> None:
    tensors = timm_tensors()
    tensors["cls_token"] = tensors["cls_token"].half()
    run = run_of(tmp_path, tensors)
    found = converted(run).state_dict()
    assert torch.equal(found["layernorm.weight"], tensors["norm.weight"])


def test_a_file_without_a_tower_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found no patch embedding in tower\.pth"):
        import_vision(run_of(tmp_path, {"weight": torch.ones(2)}))


def cubic(distance: np.ndarray) -> np.ndarray:
    """Keys' cubic kernel with a = -0.5, as antialiasing resamplers use it."""
    x = np.abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def resampling(trained: int, wanted: int) -> np.ndarray:
    """[wanted, trained] weights: the kernel widened when there are fewer points, edges renormed."""
    scale = trained / wanted
    width = max(scale, 1.0)
    centres = (np.arange(wanted) + 0.5) * scale
    weights = cubic((np.arange(trained)[None] + 0.5 - centres[:, None]) / width)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("trained", "wanted"), [(37, 16), (14, 37), (16, 37), (5, 8), (8, 5)])
@pytest.mark.parametrize("special", [0, 1])
def test_positions_are_resampled_as_by_hand(trained: int, wanted: int, special: int) -> None:
    draw = torch.Generator().manual_seed(trained)
    table = torch.randn(trained**2 + special, 6, generator=draw)
    ours = resize_positions(table, wanted, special)
    assert ours.shape == (wanted**2 + special, 6)
    assert torch.equal(ours[:special], table[:special])
    weights = resampling(trained, wanted)
    grid = table[special:].double().numpy().reshape(trained, trained, 6)
    theirs = np.einsum("ij,kl,jlc->ikc", weights, weights, grid).reshape(-1, 6)
    assert np.abs(ours[special:].numpy() - theirs).max() < WITHIN


def test_positions_of_equal_size_are_not_touched() -> None:
    table = torch.randn(17, 4)
    assert resize_positions(table, 4, 1) is table
    with pytest.raises(InputError, match="found 18 position embeddings, 1 of them special"):
        resize_positions(torch.randn(18, 4), 4, 1)


@torch.no_grad()
def test_resized_tower_reads_larger_images(tmp_path: Path) -> None:
    """The same numbers as the original with its positions resampled by hand."""
    state = drawn(trunk_shapes(VISION), seed=6)
    tower = converted(run_of(tmp_path, state, image_px=84))
    weights = resampling(4, 6)
    grid = state["pos_embed"][0, 1:].double().numpy().reshape(4, 4, -1)
    patches = np.einsum("ij,kl,jlc->ikc", weights, weights, grid).reshape(36, -1)
    cls = state["pos_embed"][:, :1]
    larger = torch.cat([cls, torch.from_numpy(patches).float()[None]], dim=1)
    shown = torch.randn(1, 3, 84, 84, generator=torch.Generator().manual_seed(1))
    theirs = timm_vit({**state, "pos_embed": larger}, shown, VISION["heads"], "")
    ours = tower(shown, output_hidden_states=True).hidden_states
    assert (ours[-2] - theirs[-2]).abs().max() < WITHIN
