"""The tree of errors: one line each, an exit code, and the same error in another process."""

from __future__ import annotations

import multiprocessing
import pickle
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest

from infra import errors
from infra.egress import Egress, Guarantee, check_egress
from infra.errors import (
    ArtifactError,
    BudgetExceeded,
    CxrError,
    EgressRefused,
    InputError,
    LanguageModelError,
    SettingsError,
    SourceError,
    Stopped,
    Unavailable,
)
from infra.launch import ChildFailed, ChildInputError

HOUSE = Path(__file__).parent.parent
OWN_ERROR = re.compile(r"^class (\w+)\(.*(?:CxrError|InputError|LanguageModelError)\):", re.M)

EXAMPLES: list[CxrError] = [
    InputError("a", "b", "do c"),
    SettingsError("a", "b", "do c"),
    SourceError("a", "b", "do c"),
    EgressRefused("a", "b", "do c"),
    ArtifactError("a piece is gone"),
    LanguageModelError("no answer"),
    BudgetExceeded("nothing is left"),
    Stopped("asked to"),
    Unavailable("no weights"),
    ChildFailed("models.train", 1, "Traceback\nValueError: the loss is not a number\n"),
    ChildFailed("models.train", -9, ""),
    ChildInputError("error: found a; expected b; do c"),
]


def test_the_tree_is_as_its_docstring_draws_it() -> None:
    doc = errors.__doc__
    assert doc is not None
    drawn = re.findall(r"^    (│   |    )?[├└]── (\w+)", doc, re.M)
    above: type[CxrError] = CxrError
    for indent, name in drawn:
        found = getattr(errors, name)
        assert found.__bases__ == (above if indent else CxrError,), name
        above = above if indent else found
    classes = {name for name, item in vars(errors).items() if isinstance(item, type)}
    assert classes == {"CxrError", *(name for _, name in drawn)}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_bad_input_ends_with_2_and_all_else_with_1(error: CxrError) -> None:
    assert error.exit_code == (2 if isinstance(error, InputError) else 1)


def test_an_input_error_says_what_was_found_expected_and_to_do() -> None:
    error = InputError("3 files", "4 files", "look again")
    assert str(error) == "found 3 files; expected 4 files; look again"
    assert (error.found, error.expected, error.advice) == ("3 files", "4 files", "look again")


@pytest.mark.parametrize("message", ["a\nb", "a \n\t b\n", "a\r\nb", "  a b"])
def test_every_message_is_one_line(message: str) -> None:
    assert str(ArtifactError(message)) == "a b"
    assert str(InputError(message, "c", message.strip())) in (
        "found a b; expected c; a b",
        "found a b ; expected c; a b",
    )


def test_a_child_is_named_with_its_code_and_last_line() -> None:
    assert str(EXAMPLES[-3]) == ("models.train ended with 1: ValueError: the loss is not a number")
    assert str(EXAMPLES[-2]) == "models.train was killed by SIGKILL: no message"
    assert str(EXAMPLES[-1]) == "found a; expected b; do c"


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling(error: CxrError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_every_error_of_the_house_survives_pickling() -> None:
    """Whoever adds an error with a constructor of its own must say how it is pickled."""
    found = set()
    for path in own_modules():
        for name in OWN_ERROR.findall(path.read_text()):
            module = ".".join(path.relative_to(HOUSE).with_suffix("").parts)
            if module.startswith(("models.", "evaluation.neural")):
                continue  # torch stays out of this process; they only ever end their own
            kind = getattr(import_module(module), name)
            found.add(name)
            if "__init__" in vars(kind) and kind is not CxrError:
                assert "__reduce__" in vars(kind), name
    assert {type(error).__name__ for error in EXAMPLES} <= found


def own_modules() -> Iterator[Path]:
    for package in ("infra", "sources", "evaluation", "models", "tasks", "flows"):
        yield from (HOUSE / package).rglob("*.py")


def refuse(source: str) -> None:
    check_egress(source, Egress.NEVER, "https://example.org/v1", Guarantee.NONE)


def test_an_error_reaches_the_caller_of_a_process_pool() -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        with pytest.raises(EgressRefused, match="for source padchest") as caught:
            pool.submit(refuse, "padchest").result()
        assert caught.value.exit_code == 2
        assert caught.value.advice.startswith("use a local server")


def test_a_strangers_text_steers_no_terminal() -> None:
    error = InputError("run '\x1b[31mred\x07\u202e\udcff'", "a\nline", "größer")
    assert str(error) == (r"found run '\x1b[31mred\x07\u202e\udcff'; expected a line; größer")
