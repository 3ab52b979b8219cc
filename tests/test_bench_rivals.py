"""Rivals of the benchmarks: their environments, what they are asked, and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.environments import Unavailable, python_of, reason
from tests.bench.llm_beside import Outcome, best, collect, questions
from tests.bench.llm_rivals import fits
from tests.bench.llm_worker import question_body, texts

FINISHES = (
    "import json, sys; json.dump({'start': float(sys.argv[2]), 'end': float(sys.argv[3]), "
    "'cpu': 2.0, 'kept': 9}, open(sys.argv[1] + '/result.json', 'w'))"
)


def child(code: str, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    folder.mkdir()
    with (folder / "log.txt").open("wb") as log:
        command = [sys.executable, "-c", code, str(folder), *arguments]
        return subprocess.Popen(command, stdout=log, stderr=log)


@pytest.mark.slow
def test_an_environment_is_made_once_and_again_for_other_pins(tmp_path: Path) -> None:
    folder = tmp_path / "rival"
    python = python_of(folder, ())
    assert subprocess.run([python, "-c", "import pip"], check=False).returncode == 0
    mark = folder / "mark"
    mark.touch()
    assert python_of(folder, ()) == python and mark.exists()
    with pytest.raises(Unavailable) as caught:
        python_of(folder, [[str(tmp_path / "nothing-1.0-py3-none-any.whl")]])
    assert str(caught.value).startswith("unavailable: pip cannot install ")
    assert "\n" not in str(caught.value)
    assert not mark.exists() and not (folder / "ready").exists()


def test_a_reason_is_one_line_without_addresses() -> None:
    said = (
        "WARNING: retrying\nERROR: No match for x==1 (from https://host.example/simple | /a/b.txt)"
        "\nnothing more"
    )
    assert reason(said) == "No match for x==1 (from … / …"
    assert reason("Traceback:\n  File\nsome.pack.BadError: no\n") == "some.pack.BadError: no"
    assert reason("") == "no reason was told"
    assert len(reason("ERROR: " + "x" * 900)) == 120


def test_a_rival_is_asked_the_bodies_that_ours_is_asked() -> None:
    reports = texts(3, 60, 0)
    asked = questions(reports)
    bodies = [
        {
            "model": "offline-rules",
            "messages": [*asked["messages"], {"role": "user", "content": question}],
            **asked["options"],
        }
        for question in asked["questions"]
    ]
    assert bodies == [question_body(report) for report in reports]
    assert not set(asked["warm_up"]) & set(asked["questions"])
    assert "findings" in asked["keys"]


@pytest.mark.parametrize(
    ("answer", "is_kept"),
    [
        ('{"a": 1, "b": null}', True),
        ('{"a": 1}', False),
        ('{"a": 1, "b": 2, "c": 3}', False),
        ('["a", "b"]', False),
        ('{"a": 1, "b"', False),
        (None, False),
    ],
)
def test_only_answers_of_the_right_shape_count_as_kept(answer: str | None, is_kept: bool) -> None:
    assert fits(answer, ["a", "b"]) is is_kept


def test_processes_are_counted_together(tmp_path: Path) -> None:
    folders = [tmp_path / "0", tmp_path / "1"]
    children = [child(FINISHES, folders[0], "10", "14"), child(FINISHES, folders[1], "11", "16")]
    outcome = collect(children, folders, 10, 60.0)
    assert outcome == Outcome(seconds=6.0, cpu=4.0, kept=18, asked=20)
    assert outcome.share(3.0) == "50.0%, lost 2"


def test_a_rival_that_fails_or_never_ends_is_told(tmp_path: Path) -> None:
    folders = [tmp_path / "0"]
    failing = child("raise ValueError('no room')", folders[0])
    assert collect([failing], folders, 10, 60.0).share(1.0) == "failed: ValueError: no room"
    folders = [tmp_path / "1"]
    endless = child("import time; time.sleep(600)", folders[0])
    assert collect([endless], folders, 10, 0.5).share(1.0) == "not done within 0.5 s"
    assert endless.poll() is not None


def test_the_best_round_counts_unless_one_had_no_figures() -> None:
    fast, slow, none = Outcome(seconds=2.0), Outcome(seconds=3.0), Outcome("failed: x")
    assert best([slow, fast]) == fast
    assert best([fast, none]) == none


def test_the_worker_names_a_rival_that_is_not_installed(tmp_path: Path) -> None:
    order = {"rival": "curator", "url": "http://127.0.0.1:9/v1", "concurrency": 1}
    (tmp_path / "order.json").write_text(json.dumps(order))
    command = [sys.executable, "-m", "tests.bench.llm_rivals", str(tmp_path)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode != 0 and "litellm" in outcome.stderr
    assert not (tmp_path / "result.json").exists()
