"""Packed rows: examples do not see each other, and logits are made where labels are alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from models_world import MODELS, stage, train_run, trained_world
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoConfig, LlamaConfig, PreTrainedModel
from transformers.models.llama import LlamaForCausalLM

from models.canvas import Canvas
from models.collate import with_films
from models.data import ExampleShards, Sample
from models.packing import (
    PACKED,
    Batch,
    Encoded,
    attend_within_examples,
    lay_end_to_end,
    lengths_of,
    packed_attention,
    pad_right,
)
from models.stages import Prepared, prepare
from models.vlm import load_vlm

EXAMPLES = [Encoded([1, 5, 6], [7, 2]), Encoded([1, 8], [9, 10, 11, 2]), Encoded([1], [2])]
FINETUNES = {
    "lora": {"lora": {"rank": 4, "alpha": 8, "dropout": 0.0}},
    "full": {"trainable": ["projector", "language"], "lora": None},
}


def finetune(name: str, **changes: object) -> tuple[Prepared, list[Sample]]:
    """A finetune stage of the trained world, ready to train, and its examples."""
    root = trained_world()
    torch.manual_seed(0)
    run = train_run(root, stage("finetune", **{**FINETUNES[name], **changes}))
    prepared = prepare(run, list)
    for parameter_name, each in prepared.model.named_parameters():
        if "lora_B" in parameter_name:  # zero at first, which would hide the gradient of A
            nn.init.normal_(each, std=0.1)
    prepared.model.train()
    ready = replace(prepared, collate=lambda samples: with_films(prepared.collate(samples)))
    return ready, list(ExampleShards(run.train_examples, Canvas(MODELS.vision.image_px)))


def gradients(
    model: nn.Module, batches: list[Batch]
) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Summed losses of each batch, and the gradient of their sum."""
    model.zero_grad()
    losses = []
    for batch in batches:
        loss = model(**batch, num_items_in_batch=torch.tensor(1)).loss
        loss.backward()
        losses.append(loss.item())
    found = {
        name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None
    }
    return losses, found


def assert_equal_gradients(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(each.abs().max() > 0 for each in one.values())
    for name, each in one.items():
        torch.testing.assert_close(
            each, other[name], rtol=1e-4, atol=1e-5 * float(each.abs().max()), msg=name
        )


def test_a_packed_row_holds_the_examples_alone_with_positions_of_their_own() -> None:
    batch = lay_end_to_end(EXAMPLES)
    assert batch["input_ids"].tolist() == [[1, 5, 6, 7, 2, 1, 8, 9, 10, 11, 2, 1, 2]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 0, 1]]
    assert batch["sequence_starts"].tolist() == [0, 5, 11, 13]
    assert lengths_of(batch["sequence_starts"]) == [5, 6, 2]
    assert batch["sequence_starts"].dtype == torch.int32, "as the variable-length kernel wants it"


def test_both_layouts_supervise_each_answer_from_the_token_before_it() -> None:
    for batch in (lay_end_to_end(EXAMPLES), pad_right(EXAMPLES, pad_id=0)):
        assert batch["labels"].tolist() == [7, 2, 9, 10, 11, 2, 2]
        assert batch["shift_labels"].tolist() == batch["labels"].tolist()
        kept = batch["input_ids"][batch["logits_to_keep"]]
        assert kept.tolist() == [6, 7, 8, 9, 10, 11, 1]


def test_what_else_is_learned_stands_in_its_place() -> None:
    """An earlier answer of a conversation, at places 1 and 3 of the prompt."""
    examples = [Encoded([1, 5, 6, 8], [7, 2], (1, 3)), Encoded([1, 8], [9])]
    for batch in (lay_end_to_end(examples), pad_right(examples, pad_id=0)):
        assert batch["labels"].tolist() == [5, 8, 7, 2, 9]
        kept = batch["input_ids"][batch["logits_to_keep"]]
        assert kept.tolist() == [1, 6, 8, 7, 8]


def test_padded_rows_are_as_long_as_the_longest() -> None:
    batch = pad_right(EXAMPLES, pad_id=0)
    assert batch["input_ids"].tolist() == [
        [1, 5, 6, 7, 2, 0],
        [1, 8, 9, 10, 11, 2],
        [1, 2, 0, 0, 0, 0],
    ]
    assert batch["attention_mask"].sum(1).tolist() == [5, 6, 2]


@pytest.mark.parametrize("key_heads", [4, 2])
@pytest.mark.parametrize("starts", [[0, 5], [0, 1, 2, 9, 10]])
def test_attention_is_causal_in_blocks(key_heads: int, starts: list[int]) -> None:
    generator = torch.Generator().manual_seed(len(starts))
    total = starts[-1]
    query = torch.randn(1, 4, total, 8, generator=generator)
    key, value = torch.randn(2, 1, key_heads, total, 8, generator=generator)
    block = torch.zeros(total, dtype=torch.long)
    block[torch.tensor(starts[1:-1], dtype=torch.long)] = 1
    block = block.cumsum(0)
    mask = (block[:, None] == block[None]) & torch.ones(total, total).tril().bool()
    expected = scaled_dot_product_attention(
        query, key, value, attn_mask=mask, scale=0.3, enable_gqa=key_heads != 4
    )
    found, weights = packed_attention(
        nn.Module(), query, key, value, None, scaling=0.3, sequence_starts=torch.tensor(starts)
    )
    torch.testing.assert_close(found, expected.transpose(1, 2))
    assert weights is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_variable_length_kernel_attends_as_one_call_per_example() -> None:
    generator = torch.Generator().manual_seed(0)
    starts = torch.tensor([0, 5, 6, 200], dtype=torch.int32)
    parts = torch.randn(3, 1, 4, 200, 64, generator=generator)
    exact = packed_attention(nn.Module(), *parts, None, sequence_starts=starts)[0]
    on_gpu = parts.to("cuda", torch.bfloat16).requires_grad_()
    query, key, value = on_gpu
    found = packed_attention(nn.Module(), query, key, value, None, sequence_starts=starts.cuda())[0]
    torch.testing.assert_close(found.float().cpu(), exact, atol=2e-2, rtol=2e-2)
    found.sum().backward()
    assert on_gpu.grad is not None and torch.isfinite(on_gpu.grad).all()


def small_llama(**changes: object) -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 40}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(**{**sizes, **heads, **changes}))


def test_rows_without_bounds_are_attended_to_as_by_sdpa() -> None:
    """Validation, generation with a cache and left padding meet a model that was trained packed."""
    model = small_llama().eval()
    ids = torch.tensor([[0, 0, 1, 5, 6], [1, 8, 9, 10, 11]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    asked = {"input_ids": ids, "attention_mask": mask, "max_new_tokens": 6, "do_sample": False}
    with torch.no_grad():
        plain, said = model(input_ids=ids, attention_mask=mask).logits, model.generate(**asked)
        attend_within_examples(model)
        packed, again = model(input_ids=ids, attention_mask=mask).logits, model.generate(**asked)
    assert model.config._attn_implementation == PACKED
    torch.testing.assert_close(packed[mask.bool()], plain[mask.bool()])
    assert again.tolist() == said.tolist()


def test_only_the_language_model_of_a_vlm_is_changed_and_no_folder_remembers(
    tmp_path: Path,
) -> None:
    model = load_vlm(trained_world() / "align")
    attend_within_examples(model)
    assert model.model.language_model.config._attn_implementation == PACKED
    assert model.model.vision_tower.config._attn_implementation == "sdpa"
    model.save_pretrained(tmp_path)
    assert PACKED not in (tmp_path / "config.json").read_text()
    assert AutoConfig.from_pretrained(tmp_path).text_config._attn_implementation != PACKED


@pytest.mark.parametrize("name", FINETUNES)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_pack_has_the_losses_and_gradients_of_its_examples_alone(
    name: str, checkpointing: bool
) -> None:
    prepared, samples = finetune(name)
    if checkpointing:
        prepared.model.activation_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    alone, expected = gradients(prepared.model, [prepared.collate([each]) for each in samples[:5]])
    together, found = gradients(prepared.model, [prepared.collate(samples[:5])])
    assert together[0] == pytest.approx(sum(alone), rel=1e-6)
    assert_equal_gradients(expected, found)


def test_packing_and_padding_have_the_same_loss_and_gradients() -> None:
    (packed, samples), (padded, _) = (finetune("lora", packing=each) for each in (True, False))
    batches = [each.collate(samples[:6]) for each in (packed, padded)]
    assert [batch["input_ids"].shape[0] for batch in batches] == [1, 6]
    (one, expected), (other, found) = (
        gradients(each.model, [batch])
        for each, batch in zip((packed, padded), batches, strict=True)
    )
    assert one == pytest.approx(other, rel=1e-6)
    assert_equal_gradients(expected, found)


def losses_of_examples(model: nn.Module, batch: Batch) -> Iterator[float]:
    """The summed loss of every example of a packed row."""
    with torch.no_grad():
        output = model(**batch)
    each = nn.functional.cross_entropy(output.logits, batch["labels"], reduction="none")
    owner = torch.bucketize(
        batch["logits_to_keep"][0].nonzero()[:, 0], batch["sequence_starts"][1:], right=True
    )
    for example in range(len(batch["sequence_starts"]) - 1):
        yield each[owner == example].sum().item()


def test_changing_an_example_leaves_the_others_losses() -> None:
    prepared, samples = finetune("lora")
    changed = [*samples[:4]]
    changed[1] = samples[20]
    before = list(losses_of_examples(prepared.model, prepared.collate(samples[:4])))
    after = list(losses_of_examples(prepared.model, prepared.collate(changed)))
    assert abs(before[1] - after[1]) > 1e-3
    for place in (0, 2, 3):
        assert after[place] == pytest.approx(before[place], rel=1e-6)


def rows_of_the_head(model: PreTrainedModel, act: Callable[[], object]) -> list[int]:
    """Rows that the head was given while ``act`` ran."""
    rows: list[int] = []
    head = model.get_output_embeddings()
    hook = head.register_forward_hook(
        lambda _head, given, out: rows.extend((given[0][..., 0].numel(), out[..., 0].numel()))
    )
    act()
    hook.remove()
    return rows


@pytest.mark.parametrize("packing", [True, False])
def test_logits_are_made_for_supervised_tokens_alone(packing: bool) -> None:
    prepared, samples = finetune("lora", packing=packing)
    batch = prepared.collate(samples[:8])
    supervised = batch["labels"].numel()
    assert supervised < batch["input_ids"].numel() / 3
    model = prepared.model.get_base_model()  # type: ignore[operator]
    rows = rows_of_the_head(model, lambda: prepared.model(**batch).loss.backward())
    assert rows == [supervised, supervised]
