"""Typer's complaints about a command line as one line: what was found, expected, and to be done."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import typer
from pydantic import ValidationError
from typer.main import get_command

from infra.errors import EXIT_BAD_INPUT, EXIT_FAILURE, InputError


def invoke(app: typer.Typer, arguments: list[str] | None) -> int:
    """Run the command and return its exit code; a group without a command prints its help.

    Raises:
        InputError: the command line is wrong.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code: int | None = _command(app)(given, prog_name="cxr", standalone_mode=False)
    except typer.Abort:
        print("Aborted!", file=sys.stderr)
        return EXIT_FAILURE
    except typer.TyperException as error:
        told = error.format_message()
        if told.startswith("Usage: "):
            print(told, file=sys.stderr)
            return EXIT_BAD_INPUT
        raise _explained(error, _path(app, given)) from None
    return code or 0


@cache
def _command(app: typer.Typer) -> Any:
    """All commands of it, made once: that reads every parameter's type, a tenth of a second."""
    return get_command(app)


def _path(app: typer.Typer, given: Sequence[str]) -> str:
    """The words of the command line that name its command."""
    words, command = ["cxr"], _command(app)
    for word in given:
        if word not in getattr(command, "commands", {}):
            break
        command = command.commands[word]
        words.append(word)
    return " ".join(words)


def _explained(error: typer.TyperException, path: str) -> InputError:
    found, expected = _told(error, path)
    return InputError(found, expected, f"see '{path} --help'")


def _told(error: typer.TyperException, path: str) -> tuple[str, str]:
    cause = error.__cause__ or error.__context__
    name = _name(getattr(error, "param", None))
    option = getattr(error, "option_name", None)
    text = error.format_message()
    if isinstance(cause, ValidationError):
        wrong = cause.errors()[0]
        expected = wrong["msg"].removeprefix("Input should be ")
        is_bound = expected.startswith(("greater", "less"))
        return f"'{wrong['input']}' for {name}", f"a number {expected}" if is_bound else expected
    if option is not None and hasattr(error, "possibilities"):
        near = ", ".join(sorted(error.possibilities or ()))
        return f"option {option}", f"one such as {near}" if near else f"an option of '{path}'"
    if option is not None:
        ending = "without a value" if "requires" in text else "with a value"
        return f"option {option} {ending}", "one" if "requires" in text else "none"
    if hasattr(error, "param_type"):
        return f"no {name}", _usage(error, path)
    first, _, near = text.removeprefix("No such ").removeprefix("Got ").partition(". ")
    if text.startswith("No such command"):
        hint = near.removeprefix("Did you mean ").rstrip("?")
        return first.rstrip("."), f"one such as {hint}" if hint else f"a command of '{path}'"
    return first.rstrip("."), _usage(error, path)


def _name(param: Any) -> str:
    """How a person writes an option, or an argument as the usage line shows it."""
    if param is None:
        return "that"
    return str(param.opts[-1] if param.param_type_name == "option" else param.name)


def _usage(error: typer.TyperException, path: str) -> str:
    context = getattr(error, "ctx", None)
    return path if context is None else str(context.get_usage()).removeprefix("Usage: ")
