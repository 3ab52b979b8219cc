"""Prompts longer than the text encoder's limit: read in pieces, nothing cut, nothing mixed in."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies
from transformers import BertConfig, CLIPTextConfig, CLIPTextModel
from transformers.models.bert import BertModel

from infra.settings.stages import TextEncoderSettings
from models.prompt_states import PromptReader, PromptTokens, encode_prompts
from models.tokenizers import train_text_tokenizer
from sources.drawing import drawing_prompt

WORDS = "the lungs are clear there is no effusion a small nodule in left right lung heart normal"
TOKENIZER = train_text_tokenizer(
    [f"{WORDS}. PA view of chest was obtained."],
    TextEncoderSettings(width=16, layers=1, heads=2, vocabulary=300),
)
READER = PromptReader(TOKENIZER, 12)
LONG = "The lungs are clear. There is no effusion. A small nodule in the left lung. Heart normal."


def plain(prompt: str) -> list[int]:
    ids: list[int] = TOKENIZER(prompt, add_special_tokens=False)["input_ids"]
    return ids


def inside(pieces: list[list[int]]) -> list[int]:
    return [token for piece in pieces for token in piece[1:-1]]


def test_a_short_prompt_is_one_piece_as_the_tokenizer_writes_it() -> None:
    assert READER.pieces("The lungs are clear.") == [TOKENIZER("The lungs are clear.")["input_ids"]]
    assert READER.pieces("") == [TOKENIZER("")["input_ids"]]


def test_a_long_prompt_is_parted_between_sentences_and_nothing_is_lost() -> None:
    pieces = READER.pieces(LONG)
    assert [TOKENIZER.decode(piece, skip_special_tokens=True) for piece in pieces] == [
        "the lungs are clear. there is no effusion.",
        "a small nodule in the left lung.",
        "heart normal.",
    ]
    assert inside(pieces) == plain(LONG)


def test_a_sentence_that_is_too_long_by_itself_is_parted_within() -> None:
    endless = "the lungs are clear and " * 9
    pieces = READER.pieces(f"Heart normal. {endless}")
    assert max(len(piece) for piece in pieces) == 12
    assert inside(pieces) == plain(f"Heart normal. {endless}")


@settings(max_examples=40, deadline=None)
@given(
    strategies.lists(strategies.sampled_from([*WORDS.split(), "clear.", "normal!"]), max_size=60)
)
def test_no_prompt_is_ever_cut(words: list[str]) -> None:
    prompt = " ".join(words)
    pieces = READER.pieces(prompt)
    assert inside(pieces) == plain(prompt)
    assert all(2 <= len(piece) <= 12 for piece in pieces)


def test_a_batch_has_equally_many_pieces_and_shorter_prompts_their_own_again() -> None:
    read = READER.read([LONG, "The lungs are clear."])
    assert read.ids.shape == read.mask.shape == (2, 3, 12)
    alone = READER.read(["The lungs are clear."])
    for place in range(3):
        assert torch.equal(read.ids[1, place], alone.ids[0, 0])
        assert torch.equal(read.mask[1, place], alone.mask[0, 0])
    assert int(alone.mask.sum()) == len(TOKENIZER("The lungs are clear.")["input_ids"])


def bert() -> BertModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=300,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    return BertModel(config).eval()


@torch.inference_mode()
def test_states_of_a_piece_do_not_depend_on_the_others() -> None:
    encoder, read = bert(), READER.read([LONG, "The lungs are clear."])
    states = encode_prompts(encoder, read)
    assert states.shape == (2, 36, 16)
    alone = encode_prompts(encoder, READER.read(["The lungs are clear."]))
    for start in (0, 12, 24):
        torch.testing.assert_close(states[1, start : start + 12], alone[0])


@pytest.mark.parametrize("told", [True, False])
@torch.inference_mode()
def test_padding_is_told_to_bert_and_not_to_clip(told: bool) -> None:
    torch.manual_seed(0)
    shapes = {"vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16}
    clip = CLIPTextModel(
        CLIPTextConfig(**shapes, num_attention_heads=2, max_position_embeddings=12)
    ).eval()
    encoder = bert() if told else clip
    read = READER.read(["The lungs are clear."])
    unmasked = PromptTokens(read.ids, torch.ones_like(read.mask))
    same = torch.equal(encode_prompts(encoder, read), encode_prompts(encoder, unmasked))
    assert same is not told


def test_a_prompt_begins_with_the_views_sentence() -> None:
    assert drawing_prompt("LATERAL", " Clear. ") == "Lateral view of the chest was obtained. Clear."
    assert drawing_prompt("PA", "Clear.") == "PA view of the chest was obtained. Clear."
    assert drawing_prompt("UNKNOWN", "Clear.") == "Clear."
    assert drawing_prompt("AP", "") == "AP view of the chest was obtained."
