"""What child processes share: JSON lines, one error line, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.child import report, run_child, write_json
from infra.errors import CxrError, InputError
from infra.fingerprint import HOUSE
from infra.launch import FAILED
from infra.runs import GenerateRun, write_run
from infra.settings.sections import GenerateSettings


@pytest.fixture
def run_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "run.json"
    run = GenerateRun(model=tmp_path, generate=GenerateSettings(), examples=(), output=tmp_path)
    write_run(run, path)
    monkeypatch.setattr("sys.argv", ["models.generate", str(path)])
    return path


def test_event_is_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    report("progress", step=3, loss=0.5)
    assert capsys.readouterr().out == '{"event": "progress", "step": 3, "loss": 0.5}\n'


def test_only_the_first_rank_speaks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    report("progress", step=3)
    assert capsys.readouterr().out == ""


def test_work_gets_its_run_and_gives_the_exit_code(run_file: Path) -> None:
    seen: list[GenerateRun] = []

    def work(run: GenerateRun) -> int:
        seen.append(run)
        return 143

    assert run_child(GenerateRun, work) == 143
    assert seen[0].output == run_file.parent


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a", "b", "c"), 2, "error: found a; expected b; c\n"),
        (CxrError("the loss is nan"), 1, "error: the loss is nan\n"),
    ],
)
def test_errors_on_purpose_are_one_line(
    run_file: Path, capsys: pytest.CaptureFixture[str], error: CxrError, code: int, line: str
) -> None:
    def work(run: GenerateRun) -> int:
        raise error

    assert run_child(GenerateRun, work) == code
    assert capsys.readouterr().err.endswith(line)


def test_every_rank_tells_its_error_as_an_event(
    run_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")

    def work(run: GenerateRun) -> None:
        raise CxrError("the loss is nan")

    assert run_child(GenerateRun, work) == 1
    event = json.loads(capsys.readouterr().out)
    assert event == {"event": FAILED, "message": "the loss is nan", "exit_code": 1}


def test_work_that_gives_no_code_ended_well(run_file: Path) -> None:
    assert run_child(GenerateRun, lambda run: None) == 0


def test_every_child_module_goes_through_the_same_runner() -> None:
    found = [
        path.relative_to(HOUSE).as_posix()
        for folder in ("models", "evaluation")
        for path in sorted((HOUSE / folder).rglob("*.py"))
        if 'if __name__ == "__main__":' in (text := path.read_text())
        and "    sys.exit(run_child(" not in text
    ]
    assert found == []


def test_other_errors_keep_their_traceback(run_file: Path) -> None:
    def work(run: GenerateRun) -> int:
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        run_child(GenerateRun, work)


def test_missing_argument_is_bad_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["models.generate"])
    assert run_child(GenerateRun, lambda run: 0) == 2
    assert capsys.readouterr().err == "error: found 0 arguments; expected one run.json\n"


def test_json_is_written_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "result.json", {"b": 1, "a": [2]})
    assert json.loads((tmp_path / "result.json").read_text()) == {"a": [2], "b": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]
