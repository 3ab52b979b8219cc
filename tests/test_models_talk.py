"""Conversations of several turns, with several pictures or none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_models_text import ASK, collator, language_tokenizer, sample

from infra.settings.stages import Learned
from models.prompts import SYSTEM
from models.shards import NO_VIEW
from sources.record import Turn

TALK = (
    Turn("user", "Is there a nodule?"),
    Turn("assistant", "Yes."),
    Turn("user", "Where?"),
)


@pytest.mark.parametrize(
    ("learn", "learned"),
    [
        ("last-answer", " In the left lung.</s>"),
        ("answers", " Yes.</s> In the left lung.</s>"),
        (
            "everything",
            " \nIs there a nodule? ASSISTANT: Yes.</s> USER: Where? ASSISTANT: In the left "
            "lung.</s>",
        ),
    ],
)
@pytest.mark.parametrize("packing", [True, False])
def test_what_is_learned_of_a_conversation(learn: Learned, learned: str, packing: bool) -> None:
    tokenizer = language_tokenizer()
    one = replace(sample("In the left lung."), turns=TALK)
    batch = replace(collator(tokenizer), learn=learn, packing=packing)([one])
    assert tokenizer.decode(batch["labels"].tolist()) == learned
    places = batch["logits_to_keep"][0].nonzero()[:, 0] + 1
    assert batch["input_ids"][0, places].tolist() == batch["labels"].tolist()
    plain = replace(collator(tokenizer), packing=packing)([one])
    assert batch["input_ids"].tolist() == plain["input_ids"].tolist(), "what is read is the same"


def test_read_as_text_words_of_every_answer_stand_for_the_image() -> None:
    """A question in between is answered from them too."""
    tokenizer = language_tokenizer()
    text_only = replace(collator(tokenizer), image_tokens=0)
    one = replace(sample("In the left lung."), turns=TALK)
    shown: set[str] = set()
    for number in range(30):
        batch = text_only([replace(one, example_id=f"e{number}")])
        text = tokenizer.decode(batch["input_ids"][0])
        jumbled = text.partition("USER: ")[2].partition("\n")[0]
        shown |= set(jumbled.split())
    assert shown == {"Yes", "In", "the", "left", "lung"}


def test_an_example_without_an_image_has_no_places_and_no_pixels() -> None:
    tokenizer = language_tokenizer()
    film = sample()
    talk = replace(film, example_id="e2", pixels=None, view=NO_VIEW)
    alone = collator(tokenizer)([talk])
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    assert image_id not in alone["input_ids"]
    assert "pixel_values" not in alone
    assert tokenizer.decode(alone["input_ids"][0]).startswith(f"<s> {SYSTEM} USER: {ASK.text}")
    both = collator(tokenizer)([talk, film])
    assert both["pixel_values"].shape[0] == 1
    assert (both["input_ids"] == image_id).sum() == 16


def test_each_of_several_pictures_has_its_places() -> None:
    tokenizer = language_tokenizer()
    film = sample()
    assert film.pixels is not None
    two = replace(film, pixels=np.concatenate([film.pixels, film.pixels]))
    batch = collator(tokenizer)([two, film])
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    assert (batch["input_ids"] == image_id).sum() == 48
    assert batch["pixel_values"].shape[0] == 3


def test_pixels_that_were_not_read_are_missed() -> None:
    with pytest.raises(AssertionError, match="read as text only"):
        collator(language_tokenizer())([replace(sample(), pixels=None)])
