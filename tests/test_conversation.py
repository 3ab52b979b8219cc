"""A conversation: what the model reads at each turn, what is drawn, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from diffusion_world import SIDE_PX, drawing_world
from models_world import picture, trained_world
from PIL import Image

from infra.errors import InputError
from infra.settings.diffusion import DrawSettings
from infra.settings.sections import GenerateSettings, ImageSettings
from models.conversation import Conversation, LackedView
from models.drawing_sampler import DrawingSampler
from models.register import synthetic_film
from models.writer import FindingsWriter
from sources.pixels import prepare
from sources.record import Turn
from sources.xray_span import read_span

IMAGES = ImageSettings(short_side_px=128)
WRITER = FindingsWriter.load(
    trained_world() / "finetune", GenerateSettings(max_new_tokens=12), "cpu"
)


def talk(films: Path, *, draws: bool = False) -> Conversation:
    sampler = None
    if draws:
        sampler = DrawingSampler.load(drawing_world() / "guide", DrawSettings(steps=2), "cpu")
    return Conversation(WRITER, IMAGES, sampler, films, seed=7)


def test_an_answer_is_what_the_model_writes_after_all_that_was_said(tmp_path: Path) -> None:
    conversation = talk(tmp_path)
    conversation.show(synthetic_film())
    first = conversation.say("Describe  the\nfindings.")
    second = conversation.say("Is there an effusion?")
    assert conversation.turns == [
        Turn("user", "Describe the findings."),
        Turn("assistant", first.text),
        Turn("user", "Is there an effusion?"),
        Turn("assistant", second.text),
    ]
    prompt = WRITER.tokenizer.decode(WRITER.prompt(conversation._sample(conversation.turns[:3])))
    assert prompt.index("Describe the findings.") < prompt.index("Is there an effusion?")
    expected = WRITER.write(
        [WRITER.prompt(conversation._sample(conversation.turns[:3]))], [conversation.pixels]
    )
    assert second.text == expected[0].text
    assert (first.film, first.fault, first.forgotten) == (None, None, 0)


def test_without_a_film_the_prompt_is_text_alone(tmp_path: Path) -> None:
    conversation = talk(tmp_path)
    reply = conversation.say("Please draw a film.")
    image = WRITER.model.config.image_token_index
    assert image not in WRITER.prompt(conversation._sample(conversation.turns[:1]))
    assert reply.text == conversation.turns[1].text


def test_a_film_begins_a_new_conversation_and_a_bad_one_leaves_none(tmp_path: Path) -> None:
    conversation = talk(tmp_path)
    conversation.show(synthetic_film())
    conversation.say("Describe the findings.")
    with pytest.raises(InputError, match=r"not-an-image \(8 bytes; .* nothing is shown now"):
        conversation.show(b"no image")
    assert conversation.pixels is None, "no answer may be taken for one about that film"
    assert conversation.turns == []
    conversation.show(synthetic_film())
    assert conversation.turns == []
    conversation.start_anew()
    assert conversation.pixels is None


@pytest.mark.parametrize(("layout", "pictures"), [("stitch", 1), ("separate", 3)])
def test_a_study_of_several_films_is_shown_as_the_model_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, pictures: int
) -> None:
    """In their order; and no more of them than there may be."""
    canvas = {"fit": "pad", "layout": layout}
    monkeypatch.setattr(WRITER.model.config, "canvas", canvas, raising=False)
    films = [picture("left", seed, width, 150) for seed, width in enumerate((140, 160, 180))]
    conversation = talk(tmp_path)
    conversation.show(*films)
    stored = [memoryview(prepare(film, IMAGES).pixels) for film in films]
    assert conversation.pixels is not None
    assert len(conversation.pixels) == pictures
    np.testing.assert_array_equal(conversation.pixels, WRITER.canvas.pictures(stored))
    conversation.say("Describe the findings.")
    ids = WRITER.prompt(conversation._sample(conversation.turns[:1]))
    patches = int(WRITER.model.config.image_seq_length)
    assert ids.count(WRITER.model.config.image_token_index) == pictures * patches
    with pytest.raises(InputError, match=r"found 5 films; expected 4 at most"):
        conversation.show(*films, *films[:2])
    assert conversation.pixels is None
    with pytest.raises(InputError, match=r"not-an-image \(8 bytes\b.*, film 2; expected"):
        conversation.show(films[0], b"no image")


def test_a_model_of_first_films_is_shown_no_second(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found 2 films; expected 1 at most"):
        talk(tmp_path).show(synthetic_film(), synthetic_film())


def test_the_oldest_exchanges_go_when_the_history_grows_too_long(tmp_path: Path) -> None:
    conversation = talk(tmp_path)
    conversation.show(synthetic_film())
    question = "Is there an effusion? " * 3
    replies = [conversation.say(question) for _ in range(12)]
    assert replies[0].forgotten == 0
    assert replies[-1].forgotten > 0
    kept = len(conversation.turns)
    assert kept % 2 == 0
    assert kept < 24
    assert conversation.turns[0].role == "user"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (" \n", "found an empty line; expected words for the model; say something"),
        ("effusion " * 3000, "ask in fewer words"),
    ],
)
def test_words_that_cannot_be_answered(tmp_path: Path, words: str, line: str) -> None:
    conversation = talk(tmp_path)
    with pytest.raises(InputError, match=line):
        conversation.say(words)
    assert conversation.turns == []


def test_films_are_drawn_from_their_own_seeds_beside_what_is_there(tmp_path: Path) -> None:
    conversation = talk(tmp_path / "films", draws=True)
    prompt = "PA view of the chest was obtained. There is a pleural effusion."
    first, second = conversation.draw(prompt), conversation.draw(prompt)
    assert first is not None
    assert second is not None
    assert [first.name, second.name] == ["film-001.png", "film-002.png"]
    pictures = [np.asarray(Image.open(path)) for path in (first, second)]
    assert pictures[0].shape == (SIDE_PX, SIDE_PX)
    assert not np.array_equal(*pictures)
    again = talk(tmp_path / "films", draws=True).draw(prompt)
    assert again is not None
    assert again.name == "film-003.png"
    assert np.array_equal(np.asarray(Image.open(again)), pictures[0])
    assert replace(conversation, sampler=None).draw(prompt) is None


def test_a_view_that_was_never_shown_is_told_and_no_other_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model that draws has seen PA films alone."""
    conversation = talk(tmp_path / "films", draws=True)
    wanted = read_span("Here. <Xray>lateral view of the chest was  obtained. A nodule.</Xray>")
    monkeypatch.setattr("models.conversation.read_span", lambda _: wanted)
    reply = conversation.say("Draw a lateral film.")
    assert (reply.film, reply.lacks) == (None, LackedView("LATERAL", ("PA",)))
    assert not (tmp_path / "films").exists()
    assert len(conversation.turns) == 2, "the answer was given"
    assert conversation.sampler is not None
    conversation.sampler.views = None  # as of published weights, which tell none
    reply = conversation.say("Draw a lateral film.")
    assert (reply.film, reply.lacks) == (tmp_path / "films" / "film-001.png", None)


@pytest.mark.parametrize("words", ["<image> what is this?", "one <image><image>", "no</s> more"])
@pytest.mark.parametrize("shows", [True, False])
def test_marks_that_a_person_types_are_words(tmp_path: Path, words: str, *, shows: bool) -> None:
    """A typed mark is no place for an image, and ends nothing."""
    conversation = talk(tmp_path)
    if shows:
        conversation.show(synthetic_film())
    assert conversation.say(words).text == conversation.turns[1].text
    ids = WRITER.prompt(conversation._sample(conversation.turns[:1]))
    assert ids.count(WRITER.model.config.image_token_index) == shows * int(
        WRITER.model.config.image_seq_length
    )
    assert WRITER.tokenizer.eos_token_id not in ids


def test_a_place_that_cannot_be_written_leaves_the_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "films").write_text("in the way")
    conversation = talk(tmp_path / "films", draws=True)
    wanted = read_span("Here it is. <Xray>PA view.</Xray>")
    monkeypatch.setattr("models.conversation.read_span", lambda _: wanted)
    with pytest.raises(InputError, match=r"found a file in the way at .*films; expected a folder"):
        conversation.say("Draw a film.")
    assert (conversation.turns, conversation.drawn) == ([], 0)
    (tmp_path / "films").unlink()
    film = conversation.say("Draw a film.").film
    assert film == tmp_path / "films" / "film-001.png"


def test_a_name_that_another_conversation_takes_meanwhile_is_left(tmp_path: Path) -> None:
    conversation = talk(tmp_path, draws=True)
    (tmp_path / "film-001.png").symlink_to(tmp_path / "elsewhere.png")
    film = conversation.draw("PA view of the chest was obtained.")
    assert film == tmp_path / "film-002.png"
    assert not (tmp_path / "elsewhere.png").exists()
