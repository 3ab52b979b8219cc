"""Prompts, tokenizers and the tensors they become."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from models_world import MODELS, SIDE_PX, picture

from infra.errors import InputError
from infra.log import LOGGER
from models.collate import (
    CLIP_DEVIATION,
    CLIP_MEAN,
    ConversationCollator,
    PairCollator,
    key_of,
    normalise,
    pad_left,
    stacked,
    with_films,
)
from models.data import Sample
from models.processor import image_processor
from models.prompts import SYSTEM, conversation_prompt, jumble, plain_prompt
from models.shards import to_model_size
from models.tokenizers import (
    Tokenizer,
    load_tokenizer,
    save_tokenizer,
    train_language_tokenizer,
    train_text_tokenizer,
)
from sources.crop import Crop
from sources.record import Turn

TEXTS = [
    f"{SYSTEM} USER: Report it. ASSISTANT: A nodule in the {s} lung." for s in ("left", "right")
]
ASK = Turn("user", "Report it.")


def language_tokenizer() -> Tokenizer:
    return train_language_tokenizer(TEXTS, MODELS.language)


def sample(target: str = "A nodule in the left lung.", turns: tuple[Turn, ...] = (ASK,)) -> Sample:
    pixels = np.full((1, SIDE_PX, SIDE_PX), 60, np.uint8)
    return Sample("e1", "mimic_cxr", "s1", "p1", "train", "PA", pixels, None, turns, target)


def collator(
    tokenizer: Tokenizer, prompt: str = "turns", image_tokens: int = 16, context: int = 256
) -> ConversationCollator:
    return ConversationCollator(tokenizer, (prompt,), image_tokens, context)  # type: ignore[arg-type]


def test_conversation_is_vicunas_version_1() -> None:
    assert conversation_prompt([ASK]) == (
        "A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions. "
        "USER: <image>\nReport it. ASSISTANT:"
    )


def test_earlier_answers_end_with_the_end_token_and_the_image_comes_once() -> None:
    turns = [ASK, Turn("assistant", "Clear lungs."), Turn("user", "And the heart?")]
    assert conversation_prompt(turns).removeprefix(SYSTEM) == (
        " USER: <image>\nReport it. ASSISTANT: Clear lungs.</s> USER: And the heart? ASSISTANT:"
    )


def test_text_may_stand_at_the_images_place() -> None:
    assert conversation_prompt([ASK], "left nodule").endswith(
        " USER: left nodule\nReport it. ASSISTANT:"
    )
    assert plain_prompt("left nodule") == "left nodule"


def test_jumble_is_a_random_share_of_the_words() -> None:
    text = "There is a nodule in the left lung. There is no edema."
    words = {"There", "is", "a", "nodule", "in", "the", "left", "lung", "no", "edema"}
    jumbles = [jumble(text, seed).split() for seed in range(200)]
    assert all(set(each) <= words and len(set(each)) == len(each) for each in jumbles)
    assert {len(each) for each in jumbles} == set(range(3, 11))
    assert len({tuple(each) for each in jumbles if len(each) == 10}) > 1
    assert jumble(text, 3) == jumble(text, 3)


def test_image_only_prompt_is_the_image_alone() -> None:
    assert plain_prompt() == "<image>"


def test_conversation_must_end_with_the_user() -> None:
    with pytest.raises(AssertionError, match="the last turn is the assistant's, not the user's"):
        conversation_prompt([ASK, Turn("assistant", "Clear.")])


def test_language_tokenizer_has_llamas_special_tokens_and_the_image() -> None:
    tokenizer = language_tokenizer()
    ids = tokenizer.convert_tokens_to_ids(["<unk>", "<s>", "</s>"])
    assert ids == [0, 1, 2]
    assert tokenizer.convert_tokens_to_ids("<image>") == len(tokenizer) - 1
    assert tokenizer.pad_token_id == 0
    assert tokenizer("A nodule")["input_ids"][0] == 1


def test_prompt_and_answer_in_two_pieces_are_the_tokens_of_the_whole() -> None:
    tokenizer = language_tokenizer()
    prompt, answer = "USER: Report it. ASSISTANT:", "A nodule in the left lung."
    pieces = (
        tokenizer(prompt)["input_ids"] + tokenizer(answer, add_special_tokens=False)["input_ids"]
    )
    assert pieces == tokenizer(f"{prompt} {answer}")["input_ids"]


def test_any_text_survives_the_language_tokenizer() -> None:
    tokenizer = language_tokenizer()
    text = "Größe 3 mm; 左肺\n≥ 2"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids).strip() == text
    assert tokenizer.unk_token_id not in ids


def test_equal_texts_train_equal_tokenizers(tmp_path: Path) -> None:
    for name in ("a", "b"):
        language_tokenizer().save_pretrained(tmp_path / name)
        train_text_tokenizer(TEXTS, MODELS.text_encoder).save_pretrained(tmp_path / f"text-{name}")
    for kind in ("", "text-"):
        one, other = (tmp_path / f"{kind}{name}" / "tokenizer.json" for name in ("a", "b"))
        assert one.read_bytes() == other.read_bytes()


def test_a_saved_tokenizer_tells_nothing_of_the_last_texts(tmp_path: Path) -> None:
    """Whether this process or a loader's worker padded and cut the last batch."""
    for name in ("fresh", "used"):
        tokenizer = train_text_tokenizer(TEXTS, MODELS.text_encoder)
        if name == "used":
            tokenizer(TEXTS, padding=True, truncation=True, max_length=5)
        save_tokenizer(tokenizer, tmp_path / name)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "used" / file).read_bytes() == (tmp_path / "fresh" / file).read_bytes()


def test_text_tokenizer_lowers_case_and_frames_the_text() -> None:
    tokenizer = train_text_tokenizer(TEXTS, MODELS.text_encoder)
    ids = tokenizer("NODULE")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "nodule", "[SEP]"]
    assert tokenizer.pad_token_id == 0


def test_saved_tokenizer_loads_equal(tmp_path: Path) -> None:
    tokenizer = language_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again(TEXTS[0])["input_ids"] == tokenizer(TEXTS[0])["input_ids"]
    assert again.convert_tokens_to_ids("<image>") == len(tokenizer) - 1


def test_folder_without_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load_tokenizer(tmp_path)
    assert str(error.value) == (
        f"found no tokenizer.json or tokenizer.model in {tmp_path}; expected a tokenizer; "
        "check the folder"
    )


def test_loss_covers_the_answer_and_its_end_alone() -> None:
    tokenizer = language_tokenizer()
    batch = collator(tokenizer)([sample()])
    supervised = batch["labels"].tolist()
    assert tokenizer.decode(supervised) == " A nodule in the left lung.</s>"
    places = batch["logits_to_keep"][0].nonzero()[:, 0] + 1
    assert batch["input_ids"][0, places].tolist() == supervised
    assert places[-1] == batch["input_ids"].shape[1] - 1


def test_image_takes_its_places_after_the_first_user_turn_begins() -> None:
    tokenizer = language_tokenizer()
    ids = collator(tokenizer)([sample()])["input_ids"][0].tolist()
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    first = ids.index(image_id)
    assert ids.count(image_id) == 16
    assert ids[first : first + 16] == [image_id] * 16
    assert tokenizer.decode(ids[:first]).endswith("USER: ")


def test_image_only_batches_hold_no_request_and_end_with_a_line_break() -> None:
    tokenizer = language_tokenizer()
    batch = collator(tokenizer, "image-only")([sample()])
    ids = batch["input_ids"][0].tolist()
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(ids[17:]) == " A nodule in the left lung.\n"
    assert batch["labels"].tolist() == ids[17:]


def test_padding_is_masked_and_not_supervised() -> None:
    tokenizer = language_tokenizer()
    padding = replace(collator(tokenizer), packing=False)
    batch = padding([sample("Short."), sample("A nodule in the left lung. " * 3)])
    short = int(batch["attention_mask"][0].sum())
    padded = batch["input_ids"].shape[1] - short
    assert batch["attention_mask"][0].tolist() == [1] * short + [0] * padded
    assert padded > 0
    assert not batch["logits_to_keep"][0, short - 1 :].any()


def test_examples_are_laid_end_to_end_with_an_image_each() -> None:
    tokenizer = language_tokenizer()
    samples = [sample("Short."), sample("A nodule in the left lung. " * 3)]
    alone = [collator(tokenizer)([each]) for each in samples]
    packed = collator(tokenizer)(samples)
    for name in ("input_ids", "position_ids", "logits_to_keep"):
        assert packed[name].tolist() == torch.cat([each[name] for each in alone], 1).tolist()
    assert packed["labels"].tolist() == torch.cat([each["labels"] for each in alone]).tolist()
    assert packed["pixel_values"].shape == (2, SIDE_PX, SIDE_PX)
    assert packed["pixel_values"].dtype == torch.uint8
    assert "attention_mask" not in packed


def test_an_examples_id_chooses_its_prompt_whatever_it_is_beside() -> None:
    tokenizer = language_tokenizer()
    both = ConversationCollator(tokenizer, ("turns", "image-only"), 0, 256, packing=False)
    samples = [replace(sample(), example_id=f"e{number}") for number in range(60)]
    asked = ["USER:" in tokenizer.decode(row) for row in both(samples)["input_ids"]]
    assert 20 < sum(asked) < 40
    assert asked == ["USER:" in tokenizer.decode(both([each])["input_ids"][0]) for each in samples]


def test_long_answers_are_cut_before_the_image_counts_and_said_so(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizer = language_tokenizer()
    whole = collator(tokenizer)([sample("left " * 50)])
    text_tokens = whole["input_ids"].shape[1] - 15
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(LOGGER, "propagate", True)
    cut = collator(tokenizer, context=text_tokens - 10)([sample("left " * 50)])
    assert cut["input_ids"].shape[1] == whole["input_ids"].shape[1] - 10
    assert set(caplog.messages) == {"example e1: answer cut from 52 to 42 tokens"}


def test_pairs_carry_keys_of_study_and_text() -> None:
    tokenizer = train_text_tokenizer(TEXTS, MODELS.text_encoder)
    texts = ("a nodule", "the left lung, it", "a  Nodule")
    batch = PairCollator(tokenizer, 32)([sample(text) for text in texts])
    assert batch["group_keys"].tolist() == [key_of("mimic_cxr", "study", "s1")] * 3
    assert batch["attention_mask"].sum(1).tolist() == [4, 7, 4]
    first, second, third = batch["text_keys"].tolist()
    assert first == third != second, "texts that are read alike are alike"


def test_texts_that_differ_beyond_the_context_are_alike() -> None:
    tokenizer = train_text_tokenizer(TEXTS, MODELS.text_encoder)
    pairs = [sample("left " * 30 + "nodule"), sample("left " * 30 + "lung")]
    cut = PairCollator(tokenizer, 8)(pairs)["text_keys"]
    whole = PairCollator(tokenizer, 64)(pairs)["text_keys"]
    assert cut[0] == cut[1]
    assert whole[0] != whole[1]


def test_other_subjects_as_negatives_join_the_studies_of_one_subject() -> None:
    tokenizer = train_text_tokenizer(TEXTS, MODELS.text_encoder)
    known = [replace(sample("a nodule"), study_id=name, subject_id="p1") for name in "ab"]
    unknown = [replace(each, subject_id=None) for each in known]
    elsewhere = [replace(known[0], source="brax")]
    by_study = PairCollator(tokenizer, 32)([*known, *unknown, *elsewhere])["group_keys"]
    by_subject = PairCollator(tokenizer, 32, "other-subjects")([*known, *unknown, *elsewhere])
    assert len(set(by_study.tolist())) == 3
    one, two, *others = by_subject["group_keys"].tolist()
    assert one == two
    assert len({one, *others}) == 4, "an unknown subject's studies stay apart, and so do sources"


def test_pair_texts_are_cut_at_the_context() -> None:
    tokenizer = train_text_tokenizer(TEXTS, MODELS.text_encoder)
    assert PairCollator(tokenizer, 8)([sample("left " * 30)])["input_ids"].shape == (1, 8)


def test_keys_do_not_mix_neighbouring_names() -> None:
    assert key_of("ab", "c") != key_of("a", "bc")
    assert 0 <= key_of("x") < 2**63


def test_left_padding_aligns_the_ends() -> None:
    ids, mask = pad_left([[5, 6], [7, 8, 9]], pad_id=0)
    assert ids.tolist() == [[0, 5, 6], [7, 8, 9]]
    assert mask.tolist() == [[0, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("size", [(28, 28), (40, 28), (28, 41), (97, 61), (61, 97), (20, 30)])
def test_pixels_reach_the_model_as_hugging_faces_clip_processor_makes_them(
    size: tuple[int, int],
) -> None:
    rng = np.random.default_rng(sum(size))
    image = PIL.Image.fromarray(rng.integers(0, 256, size[::-1]).astype(np.uint8))
    ours = normalise([to_model_size(image, SIDE_PX)[None]])
    theirs = image_processor(SIDE_PX)(image, return_tensors="pt")["pixel_values"]
    assert ours.shape == (1, 3, SIDE_PX, SIDE_PX)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", range(29, 42))
def test_the_crop_begins_where_torchvisions_does(length: int) -> None:
    """``int(round((length - side) / 2.0))``, as its CenterCrop writes it."""
    columns = np.tile(np.arange(length, dtype=np.uint8), (SIDE_PX, 1))
    for grey in (columns, columns.T):
        found = to_model_size(PIL.Image.fromarray(np.ascontiguousarray(grey)), SIDE_PX)
        assert found[0, 0] == int(round((length - SIDE_PX) / 2.0))  # noqa: RUF046
    place = Crop.of((length, SIDE_PX), (length, SIDE_PX), SIDE_PX)
    assert place.left == int(round((length - SIDE_PX) / 2.0))  # noqa: RUF046


def test_a_batch_of_bytes_becomes_what_the_model_takes() -> None:
    """Bit for bit what was made from the samples before, and only once."""
    films = [np.full((1, SIDE_PX, SIDE_PX), grey, np.uint8) for grey in (0, 7, 255)]
    batch = {"input_ids": torch.zeros(3, 2), "pixel_values": stacked(films)}
    ready = with_films(batch)
    scaled = torch.from_numpy(np.concatenate(films)).to(torch.float32).div(255)[:, None]
    mean, deviation = (torch.tensor(each).view(1, 3, 1, 1) for each in (CLIP_MEAN, CLIP_DEVIATION))
    assert torch.equal(ready["pixel_values"], (scaled - mean) / deviation)
    assert torch.equal(ready["pixel_values"], normalise(films))
    assert torch.equal(with_films(ready)["pixel_values"], ready["pixel_values"])
    assert with_films({"input_ids": batch["input_ids"]}).keys() == {"input_ids"}


def test_normalised_grey_uses_clips_statistics() -> None:
    black = normalise([np.zeros((1, 2, 2), np.uint8)])
    expected = [-0.48145466 / 0.26862954, -0.4578275 / 0.26130258, -0.40821073 / 0.27577711]
    assert black[0, :, 0, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_picture_of_this_world_shows_its_side() -> None:
    import io

    left, right = (
        to_model_size(PIL.Image.open(io.BytesIO(picture(side, 3))), SIDE_PX)
        for side in ("left", "right")
    )
    assert left[10, 6] == right[10, 20] == 250
