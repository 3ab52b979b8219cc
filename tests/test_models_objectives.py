"""The contrastive loss and the dual encoder's embeddings."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from models_world import MODELS
from torch.nn import functional

from models.dual_encoder import CxrDualEncoder, dual_encoder_config
from models.objectives import contrastive_loss
from models.temperature import LARGEST_LOGIT_SCALE

SCALE = torch.tensor(5.0)


def unit(rows: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(rows, 4, generator=generator), dim=-1)


def encoder() -> CxrDualEncoder:
    torch.manual_seed(0)
    return CxrDualEncoder(dual_encoder_config(MODELS, 300)).eval()


def inputs(rows: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return {
        "pixel_values": torch.randn(rows, 3, 28, 28, generator=generator),
        "input_ids": torch.randint(5, 300, (rows, 9), generator=generator),
        "attention_mask": torch.ones(rows, 9, dtype=torch.long),
    }


def test_loss_of_unlike_pairs_is_the_plain_symmetric_cross_entropy() -> None:
    images, texts, keys = unit(4, 0), unit(4, 1), torch.arange(4)
    expected = 0.0
    for logits in (5 * images @ texts.T, 5 * texts @ images.T):
        for row in range(4):
            expected += float(torch.logsumexp(logits[row], 0) - logits[row, row]) / 8
    assert float(contrastive_loss(images, texts, SCALE, keys, keys)) == pytest.approx(expected)


def test_two_views_of_one_study_are_no_negatives() -> None:
    images, texts = unit(3, 0), unit(3, 1)
    studies, text_keys = torch.tensor([1, 1, 2]), torch.arange(3)
    logits = 5 * images @ texts.T
    rows = [(0, [0, 2]), (1, [1, 2]), (2, [0, 1, 2])]
    expected = sum(
        float(torch.logsumexp(each[row][kept], 0) - each[row, row]) / 6
        for each in (logits, logits.T)
        for row, kept in rows
    )
    loss = contrastive_loss(images, texts, SCALE, studies, text_keys)
    assert float(loss) == pytest.approx(expected)


def test_equal_texts_of_two_studies_are_no_negatives() -> None:
    images, texts, studies = unit(2, 0), unit(2, 1), torch.arange(2)
    loss = contrastive_loss(images, texts, SCALE, studies, torch.tensor([9, 9]))
    assert float(loss) == 0.0


def test_gradients_reach_both_sides_and_the_temperature() -> None:
    images, texts = unit(4, 0).requires_grad_(), unit(4, 1).requires_grad_()
    scale = torch.tensor(5.0, requires_grad=True)
    contrastive_loss(images, texts, scale, torch.arange(4), torch.arange(4)).backward()
    assert images.grad is not None and float(images.grad.abs().sum()) > 0
    assert texts.grad is not None and float(texts.grad.abs().sum()) > 0
    assert scale.grad is not None and float(scale.grad.abs()) > 0


def test_embeddings_are_unit_and_logits_are_scaled_cosines() -> None:
    model = encoder()
    with torch.no_grad():
        output = model(**inputs())
    torch.testing.assert_close(output.image_embeds.norm(dim=-1), torch.ones(3))
    expected = math.exp(2.6592) * output.image_embeds @ output.text_embeds.T
    torch.testing.assert_close(output.logits_per_image, expected)
    torch.testing.assert_close(output.logits_per_text, expected.T)
    assert output.loss is None


def test_texts_are_pooled_by_their_first_token_not_by_berts_pooler() -> None:
    model = encoder()
    batch = inputs()
    with torch.no_grad():
        before = model.embed_texts(batch["input_ids"], batch["attention_mask"])
        model.text_model.pooler.dense.weight.zero_()
        after = model.embed_texts(batch["input_ids"], batch["attention_mask"])
        states = model.text_model(batch["input_ids"], batch["attention_mask"]).last_hidden_state
        expected = functional.normalize(model.text_projection(states[:, 0]), dim=-1)
    torch.testing.assert_close(after, before)
    torch.testing.assert_close(after, expected)


def test_padding_does_not_change_a_texts_embedding() -> None:
    model = encoder()
    ids = torch.tensor([[2, 8, 9, 3, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    with torch.no_grad():
        padded = model.embed_texts(ids, mask)
        plain = model.embed_texts(ids[:, :4], mask[:, :4])
    torch.testing.assert_close(padded, plain)


def test_temperature_is_clipped_as_in_clip() -> None:
    model = encoder()
    with torch.no_grad():
        model.logit_scale.fill_(10.0)
        output = model(**inputs())
    assert float(output.logits_per_image.abs().max()) <= LARGEST_LOGIT_SCALE


def test_saved_and_loaded_it_embeds_alike(tmp_path: Path) -> None:
    model = encoder()
    model.save_pretrained(tmp_path)
    again = CxrDualEncoder.from_pretrained(tmp_path).eval()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    with torch.no_grad():
        torch.testing.assert_close(
            again(**inputs()).logits_per_image, model(**inputs()).logits_per_image
        )
