"""``cxr chat``: its child process, its lines, and what it refuses."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from diffusion_world import drawing_world
from models_world import trained_world

from flows.cli_chat import (
    FAULTS,
    SCRATCH,
    WARNING,
    ChatOrder,
    chat,
    remove_abandoned,
    request_of,
    text_of,
)
from infra.errors import InputError
from infra.launch import ChildFailed
from infra.runs import ChatRun
from infra.settings.diffusion import DrawSettings
from infra.settings.sections import GenerateSettings, ImageSettings
from infra.talk import Talk
from models.chat import _read
from models.register import synthetic_film
from sources.raw_files import LARGEST_FILE_BYTES
from sources.xray_span import SpanFault, with_span
from tasks.context import Order

FILMS = ("a film.png", "b.png")


def chat_run(films: Path, **changes: Any) -> ChatRun:
    told = {
        "model": trained_world() / "finetune",
        "generate": GenerateSettings(batch_size=1, max_new_tokens=8),
        "images": ImageSettings(short_side_px=128),
        "pipeline": drawing_world() / "guide",
        "draw": DrawSettings(steps=2),
        "films": films,
        "device": "cpu",
    }
    return ChatRun.model_validate({**told, **changes})


@pytest.mark.slow
def test_a_child_answers_one_request_after_another(tmp_path: Path) -> None:
    film = tmp_path / "film.png"
    film.write_bytes(synthetic_film())
    with Talk("models.chat", chat_run(tmp_path / "films"), tmp_path) as talk:
        assert talk.first == {"event": "ready", "draws": True}
        assert talk.ask({"show": [str(film)]}) == {"event": "shown", "images": [str(film)]}
        answer = talk.ask({"say": "Describe the findings."})
        assert answer["event"] == "answer"
        assert set(answer) == {
            *("event", "images", "text", "said", "to_draw", "film", "fault", "forgotten", "is_cut"),
            "view_not_learned",
        }
        assert answer["images"] == [str(film)]
        refused = talk.ask({"show": [str(film), str(tmp_path / "none.png")]})
        assert refused["event"] == "refused"
        assert str(tmp_path / "none.png") in refused["message"]
        assert talk.ask({"say": "Is there an effusion?"})["images"] == []
        assert talk.ask({"new": True}) == {"event": "new"}
        child = talk.child
    assert child.returncode is not None


@pytest.mark.slow
def test_a_child_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path / "nowhere")):
        Talk("models.chat", chat_run(tmp_path, model=tmp_path / "nowhere", pipeline=None), tmp_path)


@pytest.mark.slow
def test_a_child_that_is_killed_is_told(tmp_path: Path) -> None:
    with Talk("models.chat", chat_run(tmp_path, pipeline=None), tmp_path) as talk:
        assert talk.first["draws"] is False
        os.kill(talk.child.pid, signal.SIGKILL)
        talk.child.wait()
        with pytest.raises(ChildFailed, match="was killed by SIGKILL"):
            talk.ask({"say": "Describe the findings."})


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("Is there an effusion?", {"say": "Is there an effusion?"}),
        ("/new", {"new": True}),
        ("/show film.png", {"show": [str(Path.cwd() / "film.png")]}),
        ("/show 'a film.png' b.png", {"show": [str(Path.cwd() / each) for each in FILMS]}),
        ("/show ~/film.png", {"show": [str(Path.home() / "film.png")]}),
        ("/show ~nobody-at-all/x.png", {"show": [str(Path.cwd() / "~nobody-at-all/x.png")]}),
    ],
)
def test_what_a_line_asks(line: str, request_: dict[str, Any]) -> None:
    assert request_of(line) == request_


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no \udcff text", "found a line that is no UTF-8"),
        ("/unknown", "found /unknown; expected /show PATH …,"),
        ("/Show x.png", "found /Show; expected /show PATH …,"),
        ("/show", "found /show; expected /show PATH …,"),
        ("/show 'a film.png", "found a quote that does not end"),
    ],
)
def test_a_line_that_asks_nothing_is_refused(line: str, said: str) -> None:
    assert request_of(line)["refused"].startswith(said)


def test_a_file_whose_name_has_blanks_needs_no_quotes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in FILMS:
        (tmp_path / name).touch()
    assert request_of("/show a film.png") == {"show": [str(tmp_path / "a film.png")]}
    assert request_of("/show a film.png b.png")["show"] == [
        str(tmp_path / each) for each in ("a", "film.png", "b.png")
    ]


def event(**values: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("to_draw", "film", "fault", "view_not_learned"))
    return {"event": "answer", "said": "", "forgotten": 0, "is_cut": False, **empty, **values}


@pytest.mark.parametrize(
    ("told", "lines"),
    [
        ({"said": "No."}, ["No."]),
        ({}, ["(an empty answer)"]),
        (
            {"said": "Here it is.", "to_draw": "PA view.", "film": "films/film-001.png"},
            ["Here it is.", "[film: films/film-001.png]", "[of: PA view.]"],
        ),
        (
            {"to_draw": "PA view."},
            ["[film: not drawn: this recipe has no model that draws]", "[of: PA view.]"],
        ),
        (
            {
                "to_draw": "Lateral view.",
                "view_not_learned": {"asked": "LATERAL", "shown": ["PA", "AP"]},
            },
            [
                "(no film: a LATERAL film was asked for, and this model has been shown PA and AP "
                "films alone)",
                "[of: Lateral view.]",
            ],
        ),
        (
            {"said": "There is a rib.", "fault": "no-start"},
            [
                "There is a rib.",
                "(no film: the model's request for one has an end and no start, so nothing was "
                "drawn)",
            ],
        ),
        (
            {"fault": "no-end", "is_cut": True, "forgotten": 2},
            [
                "(no film: the model's request for one has a start and no end, so nothing was "
                "drawn)",
                "(cut at the length limit)",
                "(the first 2 exchanges no longer fit and were left out)",
            ],
        ),
    ],
)
def test_an_answer_as_a_person_reads_it(told: dict[str, Any], lines: list[str]) -> None:
    assert text_of(event(**told)).splitlines() == lines


def test_every_fault_has_its_words() -> None:
    """An answer without any span asks for no film."""
    assert set(FAULTS) == {str(fault) for fault in SpanFault} - {SpanFault.ABSENT}


def test_a_model_that_is_not_trained_is_named(
    cxr: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Describe the findings.\n"))
    said = cxr("chat", "--replicas", "--data-root", tmp_path / "data")
    assert said.code == 2
    assert "found no stages/finetune of this recipe" in said.err
    assert "run 'cxr train' with the same options first" in said.err
    assert WARNING not in said.err
    assert not (tmp_path / "data").exists()


def test_what_a_killed_chat_left_is_removed_and_no_living_ones(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    kept = [f"{SCRATCH}{os.getpid()}-abc", "another", f"{SCRATCH}x"]
    gone = f"{SCRATCH}{ended.pid}-abc"
    for name in (*kept, gone):
        (tmp_path / name / "run").mkdir(parents=True)
    remove_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_an_ability_that_is_none_is_refused(cxr: Callable[..., Any], tmp_path: Path) -> None:
    said = cxr("chat", "--replicas", "--data-root", tmp_path / "data", "--ability", "sing")
    assert said.code == 2
    assert "expected one of llava_rad; choose one that answers" in said.err


def test_lines_come_back_as_json(tmp_path: Path) -> None:
    """What the child prints is JSON whatever is in an answer, a quote and a line break too."""
    text = with_span('It says "no".', "a\nb")
    assert json.loads(json.dumps(event(said=text)))["said"] == text


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """Reading a pipe may wait for ever, and a device gives bytes without end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge.png").touch()
    os.truncate(tmp_path / "huge.png", LARGEST_FILE_BYTES + 1)
    for place, said in (
        (tmp_path / "pipe", "which is no file"),
        (Path("/dev/zero"), "which is no file"),
        (tmp_path, "which is no file"),
        (tmp_path / "huge.png", f"of {LARGEST_FILE_BYTES + 1} bytes"),
        (Path("a\0b.png"), "which names no file"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(InputError, match=said):
            _read(place)


@pytest.mark.slow
def test_a_line_that_is_no_utf_8_is_refused_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"/new\n\xff\xfe\n/new\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", stdin)
    monkeypatch.setattr("flows.cli_chat.open_context", lambda *_, **__: None)
    run = chat_run(tmp_path / "films", pipeline=None)
    monkeypatch.setattr("flows.cli_chat.chat_run", lambda *_: run)
    asked = ChatOrder(None, (), tmp_path / "films", 3)
    assert not chat(Order(), asked, as_json=False)
    said = capsys.readouterr()
    assert said.out.endswith("(begun anew)\n(begun anew)\n")
    assert "error: found a line that is no UTF-8; expected text" in said.err
