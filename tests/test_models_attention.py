"""Captured rows of attention: equal to transformers' own, and known where the weights are planted.

The reference is the same model with ``attn_implementation="eager"``, which returns all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from models_world import SIDE_PX, trained_world
from transformers import LlavaForConditionalGeneration

from infra.settings.sections import GenerateSettings
from models.attention import ROWS, Recording, mean_of_rows, recorded
from models.canvas import Canvas
from models.collate import normalise
from models.data import ExampleShards, Sample
from models.vlm import load_vlm
from models.writer import FindingsWriter


@cache
def loaded() -> FindingsWriter:
    return FindingsWriter.load(trained_world() / "finetune", GenerateSettings(), "cpu")


@pytest.fixture
def model() -> Iterator[LlavaForConditionalGeneration]:
    yield load_vlm(trained_world() / "finetune").eval().requires_grad_(False)


def sample(row: int = 0) -> Sample:
    return ExampleShards([trained_world() / "shards" / "test.parquet"], Canvas(SIDE_PX))[row]


def inputs(one: Sample) -> dict[str, Any]:
    writer = loaded()
    ids = writer.prompt(one) + writer.tokenizer(one.target, add_special_tokens=False)["input_ids"]
    assert one.pixels is not None
    return {
        "input_ids": torch.tensor([ids]),
        "pixel_values": normalise([one.pixels]),
        "use_cache": False,
    }


def places(model: LlavaForConditionalGeneration, asked: dict[str, Any]) -> torch.Tensor:
    return (asked["input_ids"][0] == model.config.image_token_id).nonzero()[:, 0]


def eager(model: LlavaForConditionalGeneration, asked: dict[str, Any]) -> Any:
    model.set_attn_implementation("eager")
    return model(**asked, output_attentions=True)


def test_rows_are_those_of_the_whole_attention(model: LlavaForConditionalGeneration) -> None:
    asked = inputs(sample())
    rows = torch.tensor([40, 55, 70])
    image = places(model, asked)
    assert len(image) == 16
    with torch.no_grad(), recorded(model, Recording(rows, image, with_rollout=True)) as found:
        output = model(**asked)
    with torch.no_grad():
        whole = eager(model, asked)
    torch.testing.assert_close(output.logits, whole.logits, rtol=1e-4, atol=1e-5)
    attentions = torch.stack([layer[0] for layer in whole.attentions])
    torch.testing.assert_close(found.maps(), attentions[:, :, rows][..., image])
    rolled = torch.eye(attentions.shape[-1])
    for layer in attentions:
        rolled = (0.5 * layer.mean(0) + 0.5 * torch.eye(len(rolled))) @ rolled
    torch.testing.assert_close(found.rolled(), rolled[rows][:, image])


def test_only_the_asked_rows_are_kept(model: LlavaForConditionalGeneration) -> None:
    asked = inputs(sample())
    rows, image = torch.tensor([30]), places(model, asked)
    with torch.no_grad(), recorded(model, Recording(rows, image)) as found:
        model(**asked)
    tokens = asked["input_ids"].shape[1]
    assert [tuple(layer.shape) for layer in found.layers] == [(2, 1, tokens)] * 2
    assert found.rollout is None
    with pytest.raises(AssertionError, match="rollout was not asked for"):
        found.rolled()


def test_gradients_are_those_of_the_whole_attention(model: LlavaForConditionalGeneration) -> None:
    """d loss / d attention of the rows that the loss is read from, in the last layer, where rows
    do not act on one another."""
    asked = inputs(sample(1))
    rows, image = torch.tensor([60, 61]), places(model, asked)
    with recorded(model, Recording(rows, image)) as found:
        loss = model(**asked).logits[0, rows].log_softmax(-1)[:, 7].sum()
    torch.autograd.backward(loss)
    embedded = model.get_input_embeddings()
    hook = embedded.register_forward_hook(lambda *parts: parts[2].requires_grad_())
    whole = eager(model, asked)
    hook.remove()
    last = whole.attentions[-1]
    last.retain_grad()
    torch.autograd.backward(whole.logits[0, rows].log_softmax(-1)[:, 7].sum())
    assert last.grad is not None
    kept = found.layers[-1].grad
    assert kept is not None
    torch.testing.assert_close(kept, last.grad[0][:, rows], rtol=1e-3, atol=1e-6)
    weighted = found.weighted()
    assert weighted.shape == (2, 16)
    assert weighted.min() >= 0
    assert weighted.max() > 0


def test_weights_need_a_backward_pass(model: LlavaForConditionalGeneration) -> None:
    asked = inputs(sample())
    with torch.no_grad(), recorded(model, Recording(torch.tensor([30]), places(model, asked))) as r:
        model(**asked)
    with pytest.raises(AssertionError, match="call backward first"):
        r.weighted()


def test_the_usual_attention_comes_back(model: LlavaForConditionalGeneration) -> None:
    language = model.model.language_model
    before = language.config._attn_implementation
    asked = inputs(sample())
    with (
        pytest.raises(RuntimeError, match="stop"),
        recorded(model, Recording(torch.tensor([3]), places(model, asked))),
    ):
        assert language.config._attn_implementation == ROWS
        raise RuntimeError("stop")
    assert language.config._attn_implementation == before


def test_a_planted_head_looks_where_it_was_told(model: LlavaForConditionalGeneration) -> None:
    """Queries and keys of one head are planted so that every row looks at one image token.

    Keys see a direction that only that token's hidden state has; rotary angles are set to zero, so
    that places do not matter.
    """
    asked = inputs(sample())
    image = places(model, asked)
    wanted = image[11]
    layer = model.model.language_model.layers[0]
    states = {}
    hook = layer.self_attn.q_proj.register_forward_hook(
        lambda module, given, out: states.update(x=given[0].detach())
    )
    with torch.no_grad():
        model(**asked)
        hook.remove()
        hidden = states["x"][0]
        others = torch.cat([hidden[: int(wanted)], hidden[int(wanted) + 1 :]])
        direction = torch.linalg.lstsq(hidden, torch.eye(len(hidden))[:, int(wanted)]).solution
        gap = hidden[wanted] @ direction - (others @ direction).max()
        assert gap > 0
        half = layer.self_attn.head_dim
        rows = torch.tensor([55, 70])
        constant = torch.linalg.pinv(hidden[rows]) @ torch.ones(2)  # one for each row's state
        layer.self_attn.k_proj.weight[:half] = direction[None].expand(half, -1)
        layer.self_attn.q_proj.weight[:half] = constant[None].expand(half, -1) * 400 / float(gap)
        model.model.language_model.rotary_emb.inv_freq.zero_()
        with recorded(model, Recording(rows, image)) as found:
            model(**asked)
    head = found.maps()[0, 0]
    assert head.argmax(-1).tolist() == [11, 11]
    assert head[:, 11].min() > 0.9


def test_a_sentence_is_the_mean_over_its_rows() -> None:
    values = torch.arange(12.0).reshape(2, 3, 2)
    found = mean_of_rows(values, [(0, 1), (2,)])
    assert found.shape == (2, 2, 2)
    assert found[0].tolist() == [[1.0, 2.0], [7.0, 8.0]]
    assert found[1].tolist() == [[4.0, 5.0], [10.0, 11.0]]
