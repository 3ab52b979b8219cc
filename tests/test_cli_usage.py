"""A wrong command line is one line on stderr and exit code 2, whichever the command."""

from __future__ import annotations

import pytest
from cli_flags import COMMANDS
from cli_world import Say


@pytest.mark.parametrize("arguments", [["--nonsense"], ["fly"], ["run", "--depth", "3"], ["trace"]])
def test_a_wrong_command_line_ends_with_2(cxr: Say, arguments: list[str]) -> None:
    said = cxr(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("error: found ")
    assert said.err.count("\n") == 1


ERRORS = [
    (
        ["gc", "--keep-days", "-1"],
        "error: found '-1' for --keep-days; expected a number greater than or equal to 0; see "
        "'cxr gc --help'",
    ),
    (
        ["chat", "--seed", "x"],
        "error: found 'x' for --seed; expected a valid integer, unable to parse string as an "
        "integer; see 'cxr chat --help'",
    ),
    (
        ["stack", "up", "--patience", "0"],
        "error: found '0' for --patience; expected a number greater than or equal to 1; see "
        "'cxr stack up --help'",
    ),
    (
        ["gc", "--keep-day", "3"],
        "error: found option --keep-day; expected one such as --keep-days, --keep-runs; see "
        "'cxr gc --help'",
    ),
    (
        ["trace", "--xyz"],
        "error: found option --xyz; expected an option of 'cxr trace'; see 'cxr trace --help'",
    ),
    (
        ["leaderboard", "--out"],
        "error: found option --out without a value; expected one; see 'cxr leaderboard --help'",
    ),
    (
        ["gc", "--json=3"],
        "error: found option --json with a value; expected none; see 'cxr gc --help'",
    ),
    (
        ["replicate", "openi"],
        "error: found no folder; expected cxr replicate [OPTIONS] {name} {folder}; see "
        "'cxr replicate --help'",
    ),
    (
        ["gc", "all"],
        "error: found unexpected extra argument(s) (all); expected cxr gc [OPTIONS]; see "
        "'cxr gc --help'",
    ),
    (
        ["llm", "nope"],
        "error: found command 'nope'; expected a command of 'cxr llm'; see 'cxr llm --help'",
    ),
    (
        ["watch"],
        "error: found command 'watch'; expected one such as 'watch-files'; see 'cxr --help'",
    ),
]


@pytest.mark.parametrize(("arguments", "line"), ERRORS, ids=[" ".join(a) for a, _ in ERRORS])
def test_each_mistake_says_what_is_wrong_and_what_to_do(
    cxr: Say, arguments: list[str], line: str
) -> None:
    assert cxr(*arguments) == (2, "", f"{line}\n")


def test_no_command_is_help(cxr: Say) -> None:
    for words in ("", "llm"):
        said = cxr(*words.split())
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith(f"Usage: cxr {words}".rstrip())
        assert "Commands:" in said.err


BOUNDED = [
    (words, item.opts[-1], str(item.max + 1 if item.min is None else item.min - 1))
    for words, command in COMMANDS.items()
    for item in command.params
    if getattr(item, "min", None) is not None or getattr(item, "max", None) is not None
]


@pytest.mark.parametrize(("words", "flag", "value"), BOUNDED)
def test_a_number_out_of_bounds_is_one_line(cxr: Say, words: str, flag: str, value: str) -> None:
    needed = ["x" for item in COMMANDS[words].params if item.param_type_name == "argument"]
    said = cxr(*words.split(), flag, value, *needed)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith(f"error: found '{value}' for {flag}; expected a number ")
    assert said.err.endswith(f"; see 'cxr {words} --help'\n")
