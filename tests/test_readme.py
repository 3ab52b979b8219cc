"""README.md and docs/: every command, option, path, source, setting and variable in them exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.main import get_command

from flows.cli import APP
from infra.settings import load_settings, preset_names
from infra.settings.environment import SOURCE_PREFIX, Environment
from infra.settings.matrix import matrix_names
from sources.catalog import catalog
from tasks.graph import REVISIONS

HOUSE = Path(__file__).parent.parent
WRONG_ON_PURPOSE = HOUSE / "docs" / "bad-input.md"
PAGES = sorted(
    {HOUSE / "README.md", HOUSE / "CONTRIBUTING.md", *HOUSE.glob("docs/**/*.md")}
    - {WRONG_ON_PURPOSE}
)
COMMANDS: dict[str, Any] = get_command(APP).commands  # type: ignore[attr-defined]
TARGETS = set(re.findall(r"^([a-z-]+):", (HOUSE / "Makefile").read_text(), re.MULTILINE))
MADE_BY_RUNNING = ("demo", "data", ".venv", ".state", "bench-work")
"""Folders that a page may name although a fresh checkout has none of them."""
PLACEHOLDER = re.compile(r"^[A-Z][A-Z_]*$|^<.*>$|…|\.\.\.")


class Shown(NamedTuple):
    """One command as a page shows it, without what stands before the program's name."""

    page: str
    words: tuple[str, ...]


def code_spans(text: str) -> Iterator[str]:
    """Lines of fenced shell blocks, and inline code."""
    for kind, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if kind in ("sh", "bash", "shell", "console"):
            yield from block.replace("\\\n", " ").splitlines()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose))


def shown_commands(program: str) -> list[Shown]:
    found = []
    for page in PAGES:
        for span in code_spans(page.read_text()):
            for part in re.split(r"&&|\||;", span.partition(" #")[0]):
                words = shlex.split(part.strip().removeprefix("$ "), posix=True)
                while words and "=" in words[0]:
                    words = words[1:]  # VARIABLE=value before the program
                if len(words) > 1 and Path(words[0]).name == program:
                    found.append(Shown(page.name, tuple(words[1:])))
    return found


def ident(value: Any) -> str:
    return f"{value.page}: {' '.join(value.words)}" if isinstance(value, Shown) else str(value)


CXR = shown_commands("cxr")
MAKE = shown_commands("make")


def test_the_readme_counts_the_sources_that_there_are() -> None:
    words = " ".join((HOUSE / "README.md").read_text().split())
    demo = load_settings("llava_rad", "tiny").sources.names
    numbers = ("six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen")
    word = dict(enumerate((*numbers, "fifteen", "sixteen"), 6))
    assert f"ingest up to {word[len(catalog())]} sources" in words
    own = 1  # the manifest
    more = word[len(catalog()) - len(demo) - own]
    assert f"(LLaVA-Rad's {word[len(demo)]}, {more} more published ones and" in words
    assert f"make demo # {word[len(demo)]} synthetic sources" in words


def test_the_pages_show_commands() -> None:
    """The rest of this file is worth nothing if it finds none."""
    assert len(CXR) >= 10
    assert {"demo", "test"} <= {item.words[0] for item in MAKE}
    assert {item.words[0] for item in CXR if item.page == "README.md"} == set(COMMANDS)


@pytest.mark.parametrize("shown", CXR, ids=ident)
def test_every_cxr_command_is_one(shown: Shown) -> None:
    name, *arguments = shown.words
    assert name in COMMANDS
    if not arguments:
        return  # a command that prose speaks of by its name
    command = COMMANDS[name]
    while hasattr(command, "commands"):
        word, *arguments = arguments
        assert word in command.commands
        name, command = f"{name} {word}", command.commands[word]
    context = command.make_context(f"cxr {name}", list(arguments))
    check_values(context.params)


def check_values(given: dict[str, Any]) -> None:
    """Sources, recipes and settings in a parsed command exist."""
    pair = (given.get("recipe", "llava_rad"), given.get("scale") or "tiny")
    assert pair in preset_names()
    for option in given.get("source") or ():
        assert option.partition("=")[0] in catalog(), option
    name = given.get("name")
    assert name is None or PLACEHOLDER.search(name) or name in catalog(), name
    assert given.get("matrix") is None or given["matrix"] in (
        "MATRIX",
        "my-matrix.toml",
        *matrix_names(),
    )
    sets = [item for item in given.get("sets") or () if item != "key.path=value"]
    load_settings(*pair, sets)


@pytest.mark.parametrize("shown", MAKE, ids=ident)
def test_every_make_target_is_one(shown: Shown) -> None:
    targets = [word for word in shown.words if "=" not in word and not word.startswith("-")]
    assert targets
    assert set(targets) <= TARGETS


def links() -> list[tuple[Path, str]]:
    found = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if not target.startswith(("http://", "https://", "#", "mailto:")):
                found.append((page, target.partition("#")[0]))
    return found


@pytest.mark.parametrize(
    ("page", "target"), links(), ids=lambda value: getattr(value, "name", value)
)
def test_every_link_leads_somewhere(page: Path, target: str) -> None:
    assert (page.parent / target).exists(), f"{page.name} links to {target}"


TOP = {path.name for path in HOUSE.iterdir() if path.is_dir() and not path.name.startswith(".")}


def named_paths() -> list[tuple[str, str]]:
    """Inline code that looks like a path of this house: ``infra/errors.py``, ``docs/log.md``."""
    found = set()
    for page in PAGES:
        for span in code_spans(page.read_text()):
            first = span.partition("/")[0]
            is_path = re.fullmatch(r"[\w./*-]+", span) and "/" in span
            if is_path and first in TOP - set(MADE_BY_RUNNING) and not span.endswith("/"):
                found.add((page.name, span))
    return sorted(found)


@pytest.mark.parametrize(("page", "path"), named_paths())
def test_every_path_of_the_house_is_there(page: str, path: str) -> None:
    assert list(HOUSE.glob(path)), f"{page} names {path}"


def test_every_variable_is_read_by_something() -> None:
    known = {f"CXR_{name.upper()}" for name in Environment.model_fields} | {"CXR_PUBLIC_DATA"}
    for page in PAGES:
        for name in set(re.findall(r"\bCXR_[A-Z_]*[A-Z]\b", page.read_text())):
            source = name.removeprefix(SOURCE_PREFIX).lower()
            is_source = name.startswith(SOURCE_PREFIX) and source in {*catalog(), "name"}
            assert name in known or is_source or f"{name}_" == SOURCE_PREFIX, f"{page.name}: {name}"


def test_every_variable_is_told_of() -> None:
    """The table in the README is complete: a variable that nobody knows of is of no use."""
    text = (HOUSE / "README.md").read_text()
    names = [f"CXR_{name.upper()}" for name in Environment.model_fields]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_readme_says_what_it_is_not() -> None:
    assert "not a medical device" in (HOUSE / "README.md").read_text().lower()


def test_every_kind_of_artifact_is_in_the_readme() -> None:
    text = (HOUSE / "README.md").read_text()
    assert [kind for kind in REVISIONS if f"`{kind}/`" not in text] == []


def test_every_preset_and_folder_is_in_the_readme() -> None:
    text = (HOUSE / "README.md").read_text()
    for recipe, scale in preset_names():
        assert recipe in text
        assert scale in text
    for folder in ("flows", "tasks", "models", "evaluation", "sources", "infra", "tests"):
        assert f"\n{folder}/" in text


def test_the_stages_are_in_the_readme() -> None:
    text = (HOUSE / "README.md").read_text()
    for stage in load_settings("llava_rad", "tiny").stages:
        assert f"`{stage.name}`" in text
