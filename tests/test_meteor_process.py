"""The METEOR child over its own pipes: what is asked, and that nothing leaves us waiting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pytest
from meteor_world import OPENJDK, stand_in

from evaluation.meteor_process import KNOWN_PAIRS, MeteorChild, MeteorFailed, Patience
from evaluation.meteor_program import MeteorProgram

HOUSE = Path(__file__).resolve().parent.parent
PATIENCE = Patience(start=30.0, answer=30.0, end=20.0)
HASTY = Patience(start=1.5, answer=1.5, end=1.0)
SECRET_TEXT = "Zebrastripes in the left lung"
DEADLINE_S = 60.0


@contextmanager
def running(program: MeteorProgram, patience: Patience = PATIENCE) -> Iterator[MeteorChild]:
    with TemporaryFile() as errors, MeteorChild(program, errors, patience) as child:
        yield child


def started(program: MeteorProgram) -> list[dict[str, Any]]:
    place = program.java.parent / "started"
    return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []


def asked(program: MeteorProgram) -> list[str]:
    return (program.java.parent / "asked").read_text(encoding="utf-8").splitlines()


def is_alive(pid: int) -> bool:
    """A zombie that nobody has waited for counts as dead."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_dead(pid: int) -> None:
    began = time.monotonic()
    while is_alive(pid):
        assert time.monotonic() - began < DEADLINE_S, "the child outlived us"
        time.sleep(0.05)


def test_a_pair_is_asked_and_its_statistics_are_numbers(tmp_path: Path) -> None:
    program = stand_in(tmp_path)
    with running(program) as child:
        first = child.statistics("small left effusion", "left effusion")
        second = child.statistics("naïve café", "")
    assert first.tolist() == [2, 3, 0, 0, 2, 2, *[0] * 14, 2, 2, 2]
    assert second[:2].tolist() == [0, 2]
    assert asked(program)[-2:] == [
        "SCORE ||| small left effusion ||| left effusion",
        "SCORE ||| naïve café ||| ",
    ]


def test_one_child_serves_all_and_starts_with_the_first_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_LLM_API_KEY", "sk-not-for-you")
    program = stand_in(tmp_path)
    with running(program) as child:
        assert child.pid is None
        assert started(program) == []
        for place in range(20):
            child.statistics(f"text {place}", f"text {place + place % 2}")
        (seen,) = started(program)
        assert seen["pid"] == child.pid
    assert seen["argv"] == [
        *("-Xmx2G", "-jar", "meteor-1.5.jar"),
        *("-", "-", "-stdio", "-l", "en", "-norm"),
    ]
    assert Path(seen["cwd"]) == program.folder.resolve()
    assert not seen["key"], "a stranger's program has no use for it"
    assert not is_alive(seen["pid"])


def test_known_pairs_are_asked_before_any_report(tmp_path: Path) -> None:
    program = stand_in(tmp_path)
    with running(program) as child:
        child.statistics("a", "b")
    lines = asked(program)
    assert lines[:2] == [f"SCORE ||| {one} ||| {other}" for one, other in KNOWN_PAIRS]
    assert lines[2].startswith("EVAL ||| 2.0 2.0 0.0 ")
    assert lines[2].count("|||") == len(KNOWN_PAIRS)
    assert lines[3] == "SCORE ||| a ||| b"


def test_a_program_with_other_arithmetic_is_refused(tmp_path: Path) -> None:
    program = stand_in(tmp_path, scores=("1.0", "0.1482", "0.33086493379395415"))
    with running(program) as child, pytest.raises(MeteorFailed, match=r"another METEOR than 1\.5"):
        child.statistics(SECRET_TEXT, SECRET_TEXT)
    assert "Zebra" not in " ".join(asked(program)), "no report was shown to it"


def test_a_damaged_table_is_refused_though_the_program_goes_on(tmp_path: Path) -> None:
    program = stand_in(tmp_path, "damaged table")
    with running(program) as child, pytest.raises(MeteorFailed) as caught:
        child.statistics("a", "b")
    assert str(caught.value) == (
        "METEOR told java.io.EOFException as it read data/paraphrase-en.gz, which is damaged; "
        "see docs/metrics.md"
    )


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("dies", r"ended with 1 \(java.lang.OutOfMemoryError\)"),
        ("is killed", r"was killed by SIGKILL \(perhaps for want of memory\)"),
        ("words", "answered words where 23 numbers belong"),
        ("few numbers", "answered 2 numbers where 23 finite ones belong"),
        ("nan", "answered 23 numbers where 23 finite ones belong"),
        ("endless", "numbers where 23 finite ones belong"),
    ],
)
def test_what_goes_wrong_is_told_without_the_text(tmp_path: Path, mode: str, told: str) -> None:
    program = stand_in(tmp_path, mode)
    with running(program) as child:
        with pytest.raises(MeteorFailed, match=told) as caught:
            child.statistics("one", SECRET_TEXT)
        (seen,) = started(program)
        assert not is_alive(seen["pid"]), "it is gone before the error is told"
    assert "Zebra" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("hangs", "gave no answer within 2 s"),
        ("hangs at start", "gave no answer within 2 s"),
        ("falls silent", "closed its output"),
    ],
)
def test_a_child_that_hangs_is_stopped(tmp_path: Path, mode: str, told: str) -> None:
    program = stand_in(tmp_path, mode)
    patience = HASTY if mode == "hangs at start" else Patience(30.0, 1.5, 1.0)
    with running(program, patience) as child, pytest.raises(MeteorFailed, match=told):
        child.statistics("one", "two")
    (seen,) = started(program)
    assert not is_alive(seen["pid"])


def test_a_long_text_to_a_child_that_does_not_read_is_no_wait_for_ever(tmp_path: Path) -> None:
    """More than a pipe holds, so that writing is what blocks."""
    program = stand_in(tmp_path, "hangs")
    patience = Patience(30.0, 1.5, 1.0)
    with running(program, patience) as child, pytest.raises(MeteorFailed, match="no answer within"):
        child.statistics("one", "two " * 200_000)


def test_a_java_that_cannot_start_says_why(tmp_path: Path) -> None:
    program = stand_in(tmp_path / "a", "no machine")
    told = r"ended with 1 \(Invalid maximum heap size: -Xmx2G\)"
    with running(program) as child, pytest.raises(MeteorFailed, match=told):
        child.statistics("a", "b")
    program = stand_in(tmp_path / "b")
    program.java.unlink()
    with running(program) as child, pytest.raises(MeteorFailed, match="No such file"):
        child.statistics("a", "b")


def test_a_child_that_stays_after_the_end_of_its_input_is_killed(tmp_path: Path) -> None:
    program = stand_in(tmp_path, "stays")
    with running(program, Patience(30.0, 30.0, 0.5)) as child:
        child.statistics("a", "b")
    assert not is_alive(started(program)[0]["pid"])


def test_an_error_of_ours_kills_the_child_at_once(tmp_path: Path) -> None:
    program = stand_in(tmp_path, "stays")
    for_ever = Patience(30.0, 30.0, 1e6)  # to end kindly would take the test over its limit
    with pytest.raises(KeyboardInterrupt), running(program, for_ever) as child:
        child.statistics("a", "b")
        raise KeyboardInterrupt
    assert not is_alive(started(program)[0]["pid"])


def test_the_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = stand_in(tmp_path)
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tempfile import TemporaryFile\n"
        "from evaluation.meteor_process import MeteorChild\n"
        "from evaluation.meteor_program import MeteorProgram\n"
        "program = MeteorProgram(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "with TemporaryFile() as errors, MeteorChild(program, errors) as child:\n"
        "    child.statistics('a', 'b')\n"
        "    print(child.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(program.java), str(program.folder)],
        cwd=HOUSE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HOUSE)},
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until_dead(pid)


def test_the_stand_in_is_laid_out_as_the_real_one(tmp_path: Path) -> None:
    program = stand_in(tmp_path)
    told = subprocess.run([program.java, "-version"], capture_output=True, text=True, check=True)
    assert told.stderr.strip() == OPENJDK
    with running(program) as child:
        assert np.isfinite(child.statistics("a b", "b c")).all()
