"""Prompts become the ids that the published model was trained on, whoever made the tokenizer."""

from __future__ import annotations

import string
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from models_world import MODELS, SIDE_PX
from sentencepiece_world import TEXTS, llava_prompt_ids, write_llama_tokenizer
from transformers import LlamaTokenizer

from infra.errors import InputError
from infra.settings.stages import VisionSettings
from models import tokenizers
from models.collate import ConversationCollator, prompt_ids
from models.data import Sample
from models.processor import vlm_processor
from models.prompts import conversation_prompt
from models.tokenizers import (
    Tokenizer,
    load_tokenizer,
    train_language_tokenizer,
    with_image_token,
)
from sources.record import Turn

FILM = np.zeros((1, 2, 2), np.uint8)
ASK = Turn("user", "Describe the findings of the chest X-ray.\nIndication: cough.")
MORE = (ASK, Turn("assistant", "Clear lungs."), Turn("user", "And the heart?"))


def sample(*turns: Turn) -> Sample:
    target = "The heart is normal in size."
    return Sample("e1", "openi", "s1", "p1", "train", "PA", FILM, None, turns or (ASK,), target)


def spelling_llama() -> Tokenizer:
    """A Llama tokenizer without merges: bytes and single letters."""
    letters = [f"<0x{byte:02X}>" for byte in range(256)] + ["▁", *string.printable.strip()]
    names = ["<unk>", "<s>", "</s>", *letters]
    vocabulary = {name: number for number, name in enumerate(names)}
    return with_image_token(LlamaTokenizer(vocab=vocabulary, merges=[], legacy=False))


@pytest.fixture(scope="module")
def vicuna(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama_tokenizer(tmp_path_factory.mktemp("vicuna"))


def around(tokenizer: Tokenizer, ids: list[int]) -> tuple[list[str], list[str]]:
    """The three tokens before the image's places, and the three behind them."""
    image = tokenizer.convert_tokens_to_ids("<image>")
    places = [place for place, token in enumerate(ids) if token == image]
    names = tokenizer.convert_ids_to_tokens(ids)
    return names[places[0] - 3 : places[0]], names[places[-1] + 1 : places[-1] + 4]


def test_llama_meets_a_words_mark_behind_the_image() -> None:
    tokenizer = spelling_llama()
    ids = prompt_ids(sample(), tokenizer, "turns", 5)
    assert around(tokenizer, ids) == (["R", ":", "▁"], ["▁", "<0x0A>", "D"])
    assert ids.count(tokenizer.convert_tokens_to_ids("<image>")) == 5


@pytest.mark.parametrize("turns", [(ASK,), (Turn("user", "Findings?"),)])
def test_a_published_tokenizers_prompt_is_llavas(vicuna: Path, turns: tuple[Turn, ...]) -> None:
    tokenizer = with_image_token(load_tokenizer(vicuna))
    image = tokenizer.convert_tokens_to_ids("<image>")
    expected = llava_prompt_ids(vicuna, conversation_prompt(turns), image, 7)
    assert prompt_ids(sample(*turns), tokenizer, "turns", 7) == expected
    plain = llava_prompt_ids(vicuna, "<image>", image, 7)
    assert prompt_ids(sample(*turns), tokenizer, "image-only", 7) == plain == [1, *[image] * 7]


def test_an_example_in_training_is_llavas_whole_text(vicuna: Path) -> None:
    """Prompt and answer, cut apart here, are one text there; what is learned is the answer."""
    import sentencepiece

    tokenizer = with_image_token(load_tokenizer(vicuna))
    image, one = tokenizer.convert_tokens_to_ids("<image>"), sample()
    for kind, whole, end in (
        ("turns", f"{conversation_prompt(one.turns)} {one.target}", [2]),
        ("image-only", f"<image>{one.target}\n", []),
    ):
        collate = ConversationCollator(tokenizer, (kind,), 7, 512)  # type: ignore[arg-type]
        encoded = collate._encoded(one)
        expected = llava_prompt_ids(vicuna, whole, image, 7) + end
        assert encoded.prompt + encoded.answer == expected
        model = sentencepiece.SentencePieceProcessor(model_file=str(vicuna / "tokenizer.model"))
        answer = model.encode(f"{one.target}\n" if kind == "image-only" else one.target)
        assert encoded.answer == answer + end


def test_later_turns_follow_in_one_piece(vicuna: Path) -> None:
    """The image's place alone is cut: behind an end token nothing is changed."""
    tokenizer = with_image_token(load_tokenizer(vicuna))
    ids = prompt_ids(sample(*MORE), tokenizer, "turns", 2)
    _, behind = conversation_prompt(MORE).split("<image>")
    assert ids[-len(tokenizer(behind)["input_ids"]) + 1 :] == tokenizer(behind)["input_ids"][1:]
    assert ids.count(tokenizer.eos_token_id) == 1


def test_our_own_tokenizer_reads_a_prompt_as_one_text() -> None:
    """A byte-level tokenizer marks a word's beginning on both sides of the image by itself."""
    tokenizer = train_language_tokenizer(TEXTS, MODELS.language)
    text = conversation_prompt((ASK,)).replace("<image>", "<image>" * 3)
    assert prompt_ids(sample(), tokenizer, "turns", 3) == tokenizer(text)["input_ids"]
    assert prompt_ids(sample(), tokenizer, "image-only", 3)[1:] == [len(tokenizer) - 1] * 3


def test_hugging_faces_processor_needs_a_space_behind_the_image(vicuna: Path) -> None:
    """As ``docs/convert.md`` tells those who ask an imported release without our code."""
    import numpy as np

    tokenizer = with_image_token(load_tokenizer(vicuna))
    vision = VisionSettings(image_px=SIDE_PX, patch_px=7, width=32, layers=2, heads=2)
    models = MODELS.model_copy(update={"vision": vision})
    processor = vlm_processor(models, tokenizer)
    picture = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    text = conversation_prompt((ASK,)).replace("<image>\n", "<image> \n")
    ids = processor(images=picture, text=text, return_tensors="pt")["input_ids"][0].tolist()
    assert ids == prompt_ids(sample(), tokenizer, "turns", models.image_tokens)


def test_a_folder_with_tokenizer_model_alone_is_read_as_sentencepiece_reads_it(
    vicuna: Path,
) -> None:
    import sentencepiece

    assert not (vicuna / "tokenizer.json").exists()
    tokenizer = load_tokenizer(vicuna)
    model = sentencepiece.SentencePieceProcessor(model_file=str(vicuna / "tokenizer.model"))
    for text in (*TEXTS, "Größe 3 mm; 左肺\n≥ 2", "two  spaces", "12 cm"):
        assert tokenizer(text)["input_ids"] == [1, *model.encode(text)], text


def test_tokenizer_model_saved_again_needs_sentencepiece_no_more(
    vicuna: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_tokenizer(vicuna)
    first.save_pretrained(tmp_path)
    monkeypatch.setattr(tokenizers, "find_spec", absent)
    again = load_tokenizer(tmp_path)
    assert again(TEXTS[2])["input_ids"] == first(TEXTS[2])["input_ids"]


def absent(name: str) -> ModuleSpec | None:
    return None


def test_without_sentencepiece_the_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"any")
    monkeypatch.setattr(tokenizers, "find_spec", absent)
    with pytest.raises(InputError) as error:
        load_tokenizer(tmp_path)
    assert str(error.value) == (
        f"found {tmp_path}/tokenizer.model without a tokenizer.json beside it, and no package "
        "sentencepiece; expected sentencepiece, which reads it; install the packages of "
        "requirements.lock"
    )


@pytest.mark.parametrize("content", [b"", b"no model" * 20])
def test_a_damaged_tokenizer_model_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(InputError) as error:
        load_tokenizer(tmp_path)
    assert str(error.value) == (
        f"found {tmp_path}/tokenizer.model, which sentencepiece cannot read; expected a "
        "SentencePiece model; download it again and compare its checksum with the publisher's"
    )


@pytest.mark.parametrize("image_tokens", [3, 0])
def test_marks_in_anybodys_text_are_words(image_tokens: int) -> None:
    """Of a publisher's question, an answer, a report: else there are more places than images."""
    tokenizer = spelling_llama()
    image = tokenizer.convert_tokens_to_ids("<image>")
    said = Turn("user", "Is <image> clear?</s>")
    one = replace(sample(said), target="See <image>.</s> Clear.")
    collate = ConversationCollator(tokenizer, ("turns",), image_tokens, 2048, learn="answers")
    ids = collate([one])["input_ids"].flatten().tolist()
    assert ids.count(image) == image_tokens
    assert ids.count(tokenizer.eos_token_id) == 1
    assert "Is < image> clear?" in tokenizer.decode(ids)
