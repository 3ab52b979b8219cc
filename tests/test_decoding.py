"""The decoder writes, id by id, what Hugging Face's ``generate`` writes for each prompt alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import pytest
import torch
from transformers import GemmaConfig, LlavaConfig, LlavaForConditionalGeneration

from infra.errors import InputError
from models import decode_attention
from models.collate import normalise
from models.decoding import Decoder, Request
from models.search import SearchRule
from models.weights import cast_parameters
from tests.bench.generation_world import (
    END,
    GREEDY,
    Shape,
    Traffic,
    ask_alone,
    ask_generate,
    ask_ours,
    ask_padded,
    build_model,
    draw_requests,
)

SHAPE = Shape(
    image_px=28,
    patch_px=7,
    vision_width=32,
    vision_layers=2,
    width=32,
    feed_forward=64,
    layers=3,
    heads=4,
    key_value_heads=4,
    vocabulary=40,
    opening_text=5,
)
TRAFFIC = Traffic(5, 3, median_tokens=9, shortest=1, longest=30, question=(1, 7))


@cache
def model(key_value_heads: int = 4, architecture: str = "llama") -> LlavaForConditionalGeneration:
    """Random weights that end an answer now and then; biases, where there are any, are not zero."""
    made = build_model(replace(SHAPE, key_value_heads=key_value_heads, architecture=architecture))
    with torch.no_grad():
        made.lm_head.weight.mul_(12)  # so that no two tokens are nearly equal
        made.lm_head.weight[END].mul_(-2.5)
        for name, each in made.model.language_model.named_parameters():
            if name.endswith("proj.bias"):
                each.normal_(0, 0.5)
    return made


@cache
def alone(beams: int = 1, penalty: float = 1.0, stop_early: bool = False) -> list[tuple[int, ...]]:
    return ask_alone(model(), requests(), SearchRule(END, beams, penalty, stop_early))


def requests() -> list[Request]:
    return draw_requests(SHAPE, TRAFFIC)


@pytest.fixture(params=["side by side", "one by one"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to read openings: in one product, as a GPU does, and one after another."""
    if request.param == "one by one":
        monkeypatch.setattr(decode_attention, "_LOOP_BYTES", 0)
    return str(request.param)


def test_the_requests_are_worth_asking() -> None:
    """Answers differ, some stop and some run into their length, images are shared."""
    answers = alone()
    ended = [ids[-1] == END for ids in answers]
    assert 0 < sum(ended) < len(ended)
    assert len(set(answers)) > 8
    assert len({request.pixels.tobytes() for request in requests()}) == 6
    assert len({len(request.prompt) for request in requests()}) > 3


@pytest.mark.parametrize("batch", [1, 2, 7, 40])
def test_greedy_ids_equal_generate_for_each_prompt_alone(batch: int, reading: str) -> None:
    assert ask_ours(model(), requests(), batch) == alone()


def test_the_rivals_padded_batches_write_the_same() -> None:
    assert ask_padded(model(), requests(), 4) == alone()


def test_the_order_of_requests_changes_nothing(reading: str) -> None:
    backwards = requests()[::-1]
    assert ask_ours(model(), backwards, 4)[::-1] == alone()


@pytest.mark.parametrize("beams", [2, 3])
@pytest.mark.parametrize(
    ("penalty", "stop_early"), [(1.0, False), (1.0, True), (0.0, False), (2.0, False)]
)
def test_beams_equal_generate(beams: int, penalty: float, stop_early: bool, reading: str) -> None:
    rule = SearchRule(END, beams, penalty, stop_early)
    expected = alone(beams, penalty, stop_early)
    assert ask_ours(model(), requests(), 4, rule) == expected


def test_beams_find_other_answers_than_greedy() -> None:
    assert alone(3) != alone()


def test_beams_batch_by_batch_are_the_same() -> None:
    rule = SearchRule(END, 3)
    for batch in (1, 15):
        assert ask_ours(model(), requests(), batch, rule) == alone(3)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(("least", "penalty"), [(6, 1.0), (0, 2.0), (0, 0.7), (9, 1.3)])
def test_shortest_answers_and_repetition_equal_generate(
    beams: int, least: int, penalty: float
) -> None:
    """Also of prompts: what stands in a question is repeated, too."""
    rule = SearchRule(END, beams, 2.0, least=least, repetition_penalty=penalty)
    asked = [each for each in requests() if each.most > least][:10]
    found = ask_ours(model(), asked, 4, rule)
    assert found == ask_alone(model(), asked, rule)
    assert found != ask_ours(model(), asked, 4, SearchRule(END, beams, 2.0))
    assert all(
        len(ids) > least or len(ids) == each.most for ids, each in zip(found, asked, strict=True)
    )


@pytest.mark.parametrize("groups", [1, 2])
def test_shared_key_value_heads(groups: int, reading: str) -> None:
    grouped, asked = model(groups), requests()[:6]
    assert ask_ours(grouped, asked, 3) == ask_alone(grouped, asked)
    rule = SearchRule(END, 2)
    assert ask_ours(grouped, asked, 3, rule) == ask_alone(grouped, asked, rule)


@pytest.mark.parametrize("architecture", ["qwen2", "mistral"])
def test_other_language_models(architecture: str, reading: str) -> None:
    """Qwen2 has biases on queries, keys and values; both share their key-value heads."""
    other, asked = model(2, architecture), requests()[:8]
    assert other.config.text_config.model_type == architecture
    biased = [name for name, _ in other.named_parameters() if name.endswith("q_proj.bias")]
    assert bool([name for name in biased if "language_model" in name]) == (architecture == "qwen2")
    assert ask_ours(other, asked, 5) == ask_alone(other, asked)
    rule = SearchRule(END, 2)
    assert ask_ours(other, asked[:4], 3, rule) == ask_alone(other, asked[:4], rule)


def test_a_head_tied_to_the_embedding() -> None:
    tied, asked = copy.deepcopy(model(4, "qwen2")), requests()[:6]
    with torch.no_grad():
        tied.model.language_model.embed_tokens.weight.mul_(6)
    tied.lm_head.weight = tied.model.language_model.embed_tokens.weight
    assert ask_ours(tied, asked, 4) == ask_alone(tied, asked)


def test_prompts_that_begin_with_the_image(reading: str) -> None:
    """Qwen2's tokenizers have no token that begins a text."""
    asked = [replace(each, prompt=each.prompt[5:]) for each in requests()[:6]]
    assert asked[0].prompt[0] == SHAPE.vocabulary - 1
    assert ask_ours(model(), asked, 4) == ask_alone(model(), asked)


@pytest.mark.parametrize("beams", [1, 2])
def test_prompts_without_a_picture_beside_others(beams: int, reading: str) -> None:
    """A request for a picture is text alone."""
    image, rule = SHAPE.vocabulary - 1, SearchRule(END, beams)
    asked = requests()[:8]
    for row in (1, 4, 5):
        text = tuple(token for token in asked[row].prompt if token != image)
        asked[row] = replace(asked[row], prompt=text, pixels=asked[row].pixels[:0])
    assert ask_ours(model(), asked, 3, rule) == ask_alone(model(), asked, rule)


@pytest.mark.parametrize("architecture", ["qwen2", "mistral"])
def test_a_sliding_window_must_hold_the_longest_prompt_and_answer(architecture: str) -> None:
    made, asked = copy.deepcopy(model(2, architecture)), requests()[:4]
    longest = 21 + max(len(each.prompt) - 21 + each.most for each in asked)
    made.config.text_config.sliding_window = longest
    made.model.language_model.config.sliding_window = longest
    assert ask_ours(made, asked, 4) == ask_alone(model(2, architecture), asked)
    made.model.language_model.config.sliding_window = longest - 1
    with pytest.raises(InputError) as error:
        ask_ours(made, asked, 4)
    assert str(error.value) == (
        f"found prompts with answers of up to {longest} tokens; expected at most the {longest - 1} "
        "of the language model's sliding window; lower generate.max_new_tokens or the image's "
        "tokens"
    )


@cache
def tempted() -> LlavaForConditionalGeneration:
    """A model that would rather write the image's token than the first one it does write."""
    made = copy.deepcopy(model())
    with torch.no_grad():
        head = made.lm_head.weight
        head[SHAPE.vocabulary - 1] = 1.5 * head[alone()[0][0]]
    return made


@pytest.mark.parametrize("beams", [1, 3])
def test_the_images_token_is_never_written(beams: int, reading: str) -> None:
    """As ``generate`` does with ``suppress_tokens``; without them it would write it."""
    image, asked, rule = SHAPE.vocabulary - 1, requests()[:8], SearchRule(END, beams)
    free = tempted().generate(
        input_ids=torch.tensor([asked[0].prompt]),
        pixel_values=normalise([asked[0].pixels]),
        max_new_tokens=20,
        do_sample=False,
        pad_token_id=0,
    )
    assert image in free[0, len(asked[0].prompt) :].tolist()
    found = ask_ours(tempted(), asked, 5, rule)
    assert not any(image in ids for ids in found)
    assert found == ask_alone(tempted(), asked, rule)


def test_what_the_model_suppresses_is_never_written() -> None:
    made, asked = copy.deepcopy(model()), requests()[:3]
    usual = ask_ours(made, asked, 3)
    unwanted = usual[0][0]
    made.generation_config.suppress_tokens = [unwanted, SHAPE.vocabulary - 1]
    found = ask_ours(made, asked, 3)
    assert not any(unwanted in ids for ids in found)
    assert found != usual


def test_openings_of_unequal_length_share_a_batch(reading: str) -> None:
    longer = [
        replace(each, prompt=(each.prompt[0], 7, 8, 9, *each.prompt[1:])) for each in requests()[:4]
    ]
    mixed = [each for pair in zip(requests()[:4], longer, strict=True) for each in pair]
    assert ask_ours(model(), mixed, 5) == ask_alone(model(), mixed)


def test_an_image_is_read_once_for_all_that_show_it() -> None:
    decoder = Decoder(model(), GREEDY, 4)
    answers = [answer for some in decoder.run(requests()) for answer in some]
    assert sorted(answer.number for answer in answers) == list(range(15))
    assert decoder.work.openings == 6
    stepped = sum(len(answer.ids) - 1 for answer in answers)
    assert decoder.work.busy == stepped
    assert decoder.work.room == 4 * decoder.work.steps
    assert 0.6 < decoder.work.busy_share <= 1


def test_teacher_forced_ids_are_the_argmax_at_every_step() -> None:
    for request, ids in zip(requests(), ask_ours(model(), requests(), 5), strict=True):
        whole = torch.tensor([[*request.prompt, *ids]])
        with torch.no_grad():
            logits = model()(input_ids=whole, pixel_values=normalise([request.pixels])).logits
        chosen = logits[0, len(request.prompt) - 1 : -1].argmax(-1)
        assert chosen.tolist() == list(ids)


def test_half_precision_runs_in_its_type() -> None:
    """Its own argmax at every step, but where two tokens are too close for bfloat16 to tell."""
    half = copy.deepcopy(model())
    cast_parameters(half, torch.bfloat16)
    close = told = 0
    for request, ids in zip(requests(), ask_ours(half, requests(), 4), strict=True):
        whole = torch.tensor([[*request.prompt, *ids]])
        pixels = normalise([request.pixels]).to(torch.bfloat16)
        with torch.no_grad():
            logits = half(input_ids=whole, pixel_values=pixels).logits[0].float()
        logits = logits[len(request.prompt) - 1 : -1]
        lost = logits.max(-1).values - logits.gather(-1, torch.tensor(ids)[:, None])[:, 0]
        spread = logits.max(-1).values - logits.mean(-1)
        close += int((lost > 0.05 * spread).sum())
        told += len(ids)
    assert told > 40
    assert close == 0


def test_nothing_to_ask_gives_nothing() -> None:
    assert list(Decoder(model(), GREEDY, 4).run([])) == []


def test_a_prompt_without_a_question_is_a_defect() -> None:
    request = requests()[0]
    cut = replace(request, prompt=request.prompt[: 5 + 16])
    with pytest.raises(AssertionError, match="must ask something"):
        list(Decoder(model(), GREEDY, 1).run([cut]))


def test_a_prompt_with_too_few_places_is_a_defect() -> None:
    request = requests()[0]
    with pytest.raises(AssertionError, match="15 places for pictures of 16"):
        list(Decoder(model(), GREEDY, 1).run([replace(request, prompt=request.prompt[6:])]))


def test_another_language_model_is_named() -> None:
    text = GemmaConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    config = LlavaConfig(
        vision_config=model().config.vision_config.to_dict(),
        text_config=text.to_dict(),
        image_token_index=39,
        image_seq_length=16,
    )
    with pytest.raises(InputError) as error:
        Decoder(LlavaForConditionalGeneration(config), GREEDY, 1)
    assert str(error.value) == (
        "found a language model of type 'gemma'; expected llama, qwen2 or mistral, whose blocks "
        "the decoder runs; set models.language.architecture and finetune anew"
    )


def test_generate_of_one_prompt_is_what_alone_means() -> None:
    assert ask_generate(model(), requests()[:1]) == alone()[:1]
