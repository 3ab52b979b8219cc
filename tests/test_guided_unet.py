"""The guided diffusion model: equal to its base before the first step, and nothing else trained."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel

from infra.errors import InputError
from models.guided_unet import GuidedUnet
from models.text_hint import Neighbours, TextHint, place_codes, zero_convolution

WIDTH = 16


def base(seed: int = 0) -> UNet2DConditionModel:
    torch.manual_seed(seed)
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=8,
    ).eval()


def inputs(size: tuple[int, int] = (8, 8)) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "latents": torch.randn(2, 4, *size, generator=generator),
        "times": torch.tensor([3, 700]),
        "states": torch.randn(2, 5, WIDTH, generator=generator),
        "empty": torch.randn(1, 2, WIDTH, generator=generator),
        "mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]),
    }


@pytest.mark.parametrize(("size", "reach"), [((8, 8), 0), ((16, 8), 0), ((8, 8), 2)])
@torch.inference_mode()
def test_before_the_first_step_it_is_the_base_bit_for_bit(
    size: tuple[int, int], reach: int
) -> None:
    unet, given = base(), inputs(size)
    alone = unet(given["latents"], given["times"], given["empty"].expand(2, -1, -1)).sample
    guided = GuidedUnet(unet, reach).eval()
    assert torch.equal(guided(**given), alone)


@pytest.mark.parametrize("reach", [0, 1])
def test_only_the_guide_and_the_hint_are_trained_and_all_of_what_they_feed(reach: int) -> None:
    guided, given = GuidedUnet(base(), reach), inputs()
    assert {name.split(".")[0] for name in guided.trained()} == {"guide", "hint"}
    before = {name: each.clone() for name, each in guided.base.state_dict().items()}
    optimizer = torch.optim.SGD(guided.trained().values(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        loss = (guided(**given) - 1.0).square().mean()
        loss.backward()
        optimizer.step()
    still = {name for name, each in guided.trained().items() if each.grad is None}
    assert still == set()
    assert all(torch.equal(each, before[name]) for name, each in guided.base.state_dict().items())
    moved = [name for name, each in guided.trained().items() if each.grad is not None
             and each.grad.abs().max() > 0]  # fmt: skip
    assert any(name.startswith("hint.attend") for name in moved), "the zero convolution has opened"


def test_what_the_text_says_shows_after_a_step_and_padding_does_not() -> None:
    guided, given = GuidedUnet(base()), inputs()
    optimizer = torch.optim.SGD(guided.trained().values(), lr=0.1)
    for _ in range(2):
        (guided(**given) - 1.0).square().mean().backward()
        optimizer.step()
    guided.eval()
    with torch.inference_mode():
        said = guided(**given)
        other = guided(**{**given, "states": given["states"].flip(0)})
        assert not torch.allclose(said, other)
        hint = guided.hint(given["states"], given["mask"], (4, 4))
        changed = given["states"].clone()
        changed[1, 2:] = 9.0
        assert torch.equal(guided.hint(changed, given["mask"], (4, 4))[1], hint[1])


def test_a_hint_is_a_map_of_any_size_and_zero_at_first() -> None:
    hint = TextHint(WIDTH, 24)
    made = hint(torch.randn(3, 7, WIDTH), None, (5, 9))
    assert made.shape == (3, 24, 5, 9)
    assert (made == 0).all()
    assert (zero_convolution(4)(torch.randn(1, 4, 2, 2)) == 0).all()


@torch.inference_mode()
def test_a_token_hears_its_neighbours_within_reach_and_no_padding() -> None:
    torch.manual_seed(0)
    neighbours = Neighbours(WIDTH, reach=2)
    states = torch.randn(1, 12, WIDTH)
    mask = torch.ones(1, 12)
    mask[:, 10:] = 0
    before = neighbours(states, mask)
    assert before.shape == states.shape
    changed = states.clone()
    changed[0, 7] += 1.0
    moved = (neighbours(changed, mask) != before).any(dim=-1)[0].nonzero().flatten().tolist()
    assert moved == [3, 4, 5, 6, 7, 8, 9, 10, 11], "twice two tokens far, on both sides"
    padded = states.clone()
    padded[0, 10:] = 9.0
    assert torch.equal(neighbours(padded, mask)[:, :10], before[:, :10])


def test_a_hint_that_guesses_learns_which_place_a_token_speaks_of() -> None:
    torch.manual_seed(0)
    guided = GuidedUnet(base(), reach=1, guesses=True)
    states = torch.randn(16, 5, WIDTH)
    left = (states[:, 2, 0] > 0).float()
    wanted = torch.zeros(16, 4, 2, 2)
    wanted[:, :, :, 0] = left[:, None, None]
    wanted[:, :, :, 1] = 1 - left[:, None, None]
    mask = torch.ones(16, 5)
    hint, guess = guided.hint, guided.hint.guess
    assert guess is not None
    learned = [each for name, each in hint.named_parameters() if not name.startswith("zero")]
    optimizer = torch.optim.Adam(learned, lr=1e-2)
    for _ in range(200):
        mapped = hint.mapped(hint.read(states, mask), mask, (2, 2))
        loss = guess.loss(mapped, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    spread = (wanted - wanted.mean(dim=0)).square().mean()
    assert loss < 1.3 * spread, "what is usual is a mean, from which guesses differ by the spread"
    said = guess.said(hint.mapped(hint.read(states, mask), mask, (2, 2)))
    torch.testing.assert_close(said, wanted - wanted.mean(dim=0), atol=0.3, rtol=0)
    given = inputs()
    with torch.inference_mode():
        unasked = given["empty"].expand(2, -1, -1)
        alone = guided.base(given["latents"], given["times"], unasked).sample
        assert torch.equal(guided.eval()(**given), alone), "shut before the first step"
        guess.gate.bias.fill_(1.0)
        mapped = hint.mapped(hint.read(given["states"], given["mask"]), given["mask"], (8, 8))
        torch.testing.assert_close(guided(**given), alone + guess.said(mapped))


@torch.inference_mode()
def test_each_part_of_a_guide_draws_without_the_other() -> None:
    guided, given = GuidedUnet(base(), guesses=True).eval(), inputs()
    assert guided.hint.guess is not None
    guided.hint.guess.gate.bias.fill_(1.0)
    for zero in (guided.hint.zero, guided.guide.controlnet_mid_block):
        zero.weight.normal_(generator=torch.Generator().manual_seed(2))
    unasked = given["empty"].expand(2, -1, -1)
    alone = guided.base(given["latents"], given["times"], unasked).sample
    read = guided.hint.read(given["states"], given["mask"])
    said = guided.hint.guess.said(guided.hint.mapped(read, given["mask"], (8, 8)))
    both = guided(**given)
    guided.lead_by("convolutions")
    led = guided(**given)
    assert not torch.allclose(led, alone)
    torch.testing.assert_close(both, led + said)
    guided.lead_by("guess")
    torch.testing.assert_close(guided(**given), alone + said)
    with pytest.raises(InputError, match="a guide that guesses nothing"):
        GuidedUnet(base()).lead_by("guess")


def test_places_have_codes_of_their_own_that_mean_the_same_at_every_size() -> None:
    codes = place_codes((4, 6), WIDTH)
    assert codes.shape == (24, WIDTH)
    assert len(torch.unique(codes, dim=0)) == 24
    small, large = place_codes((1, 1), WIDTH), place_codes((3, 3), WIDTH)
    torch.testing.assert_close(small[0], large[4])


def test_shapes_of_stable_diffusion_2_1() -> None:
    """Its published UNet; the guide is a ControlNet without the net that reads a hint image."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=96,
            block_out_channels=(320, 640, 1280, 1280),
            cross_attention_dim=1024,
            attention_head_dim=(5, 10, 20, 20),
            use_linear_projection=True,
        )
        guided = GuidedUnet(unet)
    assert sum(each.numel() for each in unet.parameters()) == 865_910_724
    assert len(guided.guide.controlnet_down_blocks) == 12, "and one in the middle"
    trained = guided.trained()
    own = {part: sum(each.numel() for name, each in trained.items() if name.startswith(part))
           for part in ("guide", "hint")}  # fmt: skip
    assert sum(own.values()) == 368_822_528
    assert own["hint"] == (1024 * 1024 + 1024) + (4 * 1024 * 1024 + 4 * 1024) + 2 * 1024 + (
        1024 * 320 + 320
    ) + (320 * 320 + 320)
