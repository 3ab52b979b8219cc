"""A model that has learned nothing: the same shape and frozen parts, other films, by a seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusion_world import drawing_world

from infra.settings.diffusion import DrawSettings
from models.drawing_sampler import DrawingSampler, Request
from models.guided_unet import GuidedUnet
from models.untrained import without_training

QUICK = DrawSettings(steps=2, guidance=1.0, batch_size=2)
ASKED = [Request("There is a nodule in the left lung.", 3)]


def sampler(untrained: int | None, stage: str = "guide") -> DrawingSampler:
    return DrawingSampler.load(drawing_world() / stage, QUICK, "cpu", untrained)


def shapes(model: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(each.shape) for name, each in model.state_dict().items()}


def test_it_has_the_trained_ones_shape_and_frozen_parts_and_no_other_weight_of_it() -> None:
    trained, bare = sampler(None).model, sampler(0).model
    assert shapes(trained) == shapes(bare)
    for part in ("autoencoder", "text_encoder"):
        one, other = (getattr(model, part).state_dict() for model in (trained, bare))
        assert all(torch.equal(one[name], other[name]) for name in one)
    learned, unlearned = trained.base.state_dict(), bare.base.state_dict()
    same = [name for name in learned if torch.equal(learned[name], unlearned[name])]
    assert all("norm" in name or name.endswith("bias") for name in same), "beginnings alone"


def test_its_guide_has_the_neighbours_and_the_guess_of_the_trained_one() -> None:
    like = sampler(None).model
    assert like.guided is not None
    like.guided = GuidedUnet(like.base, 2, guesses=True)
    bare = without_training(like, 0)
    assert shapes(bare) == shapes(like)
    assert bare.guided is not None and bare.guided.hint.guess is not None
    assert any(name.startswith("guided.hint.neighbours") for name in shapes(bare))


def test_its_guide_says_nothing_yet() -> None:
    other = [Request("There is a nodule in the right lung.", 3)]
    bare = sampler(0)
    assert torch.equal(bare.latents(ASKED), bare.latents(other))
    trained = sampler(None)
    assert not torch.equal(trained.latents(ASKED), trained.latents(other))


def test_its_films_follow_from_its_seed() -> None:
    one = sampler(0).draw(ASKED)
    assert np.array_equal(one, sampler(0).draw(ASKED))
    assert not np.array_equal(one, sampler(1).draw(ASKED))
    assert not np.array_equal(one, sampler(None).draw(ASKED))


def test_a_base_without_a_guide_is_made_anew_too() -> None:
    one, other = sampler(0, "diffuse"), sampler(None, "diffuse")
    assert one.model.guided is None
    assert not np.array_equal(one.draw(ASKED), other.draw(ASKED))


def test_random_numbers_of_the_process_are_left_alone() -> None:
    model = sampler(None).model
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    without_training(model, 0)
    assert torch.equal(torch.rand(3), wanted)
