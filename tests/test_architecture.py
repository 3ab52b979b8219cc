"""The rules of the house, held over the whole tree: layers, sizes, names and what is never done."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from infra.settings import load_settings, preset_names
from infra.tables import connect

HOUSE = Path(__file__).resolve().parent.parent
PACKAGES = ("flows", "tasks", "models", "evaluation", "sources", "infra")
FUNCTION_LINES = 50
FILE_LINES = 400
SHAPELESS_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "misc", "base"}


def source_files() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((HOUSE / package).rglob("*.py"))]


def files_of_tests() -> list[Path]:
    return sorted((HOUSE / "tests").rglob("*.py"))


def shown(path: Path) -> str:
    return path.relative_to(HOUSE).as_posix()


def line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes(*kinds: type[ast.AST], tests: bool = False) -> Iterator[tuple[Path, ast.AST]]:
    """Every node of those kinds, with its file."""
    for path in [*source_files(), *(files_of_tests() if tests else [])]:
        for node in ast.walk(parsed(path)):
            if isinstance(node, kinds):
                yield path, node


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Every text file that git tracks, or would: its name and content."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("this tree is no git checkout: its files cannot be told from what lies about")
    for name in listed.stdout.splitlines():
        path = HOUSE / name
        if path.is_file():
            data = path.read_bytes()
            if b"\0" not in data:
                yield name, data.decode("utf-8")


def test_imports_keep_the_contracts() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    outcome = subprocess.run(
        [program, "--no-cache"], cwd=HOUSE, capture_output=True, text=True, timeout=120, check=False
    )
    assert outcome.returncode == 0, outcome.stdout[-3000:] + outcome.stderr[-1000:]
    assert re.search(r"Contracts: [5-9] kept, 0 broken", outcome.stdout), outcome.stdout[-500:]


HEAVY = {"torch", "transformers", "deepspeed", "peft", "diffusers", "matplotlib"}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [("flows.cli", HEAVY | {"prefect"}), ("flows.pipeline", HEAVY | {"prefect.server.api.server"})],
)
def test_what_starts_often_starts_without_what_is_heavy(
    module: str, heavy: set[str], tmp_path: Path
) -> None:
    code = (
        f"import sys, {module}\n"
        f"heavy = {heavy} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or None)"
    )
    outcome = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HOUSE), "PREFECT_HOME": str(tmp_path)},
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_no_function_is_too_long() -> None:
    found = [
        f"{shown(path)}:{node.lineno} {node.name}: {lines} lines"
        for path, node in nodes(ast.FunctionDef, ast.AsyncFunctionDef, tests=True)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert found == []


def test_no_file_is_too_long() -> None:
    found = [
        f"{shown(path)}: {lines} lines"
        for path in [*source_files(), *files_of_tests()]
        if (lines := line_count(path)) > FILE_LINES
    ]
    assert found == []


def code_lines(path: Path) -> int:
    """Lines without blank ones, comments and docstrings, of which tests need fewer."""
    said: set[int] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            said |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    return sum(
        1 for at, line in lines if line.strip() and not line.lstrip().startswith("#")
        if at not in said
    )  # fmt: skip


def test_there_are_at_least_as_many_lines_of_tests_as_of_source() -> None:
    source = sum(code_lines(path) for path in source_files())
    tests = sum(code_lines(path) for path in files_of_tests())
    assert tests >= source, f"{source} lines of source, {tests} of tests"


def test_names_say_what_a_file_holds() -> None:
    found = [
        shown(path)
        for path in source_files()
        if SHAPELESS_NAMES & set(path.relative_to(HOUSE).with_suffix("").parts)
    ]
    assert found == []


def test_every_module_says_what_it_is_for() -> None:
    found = [
        shown(path)
        for path in [*source_files(), *files_of_tests()]
        if path.read_text(encoding="utf-8").strip() and not ast.get_docstring(parsed(path))
    ]
    assert found == []


def test_no_error_is_swallowed_unnamed() -> None:
    """Only clean-up that raises the same error again may catch everything."""
    found = []
    for path, node in nodes(ast.ExceptHandler, tests=True):
        assert isinstance(node, ast.ExceptHandler)
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        names = {ast.unparse(kind) if kind else "everything" for kind in caught}
        last = node.body[-1]
        raised_again = isinstance(last, ast.Raise) and last.exc is None
        if names & {"everything", "Exception", "BaseException"} and not raised_again:
            found.append(f"{shown(path)}:{node.lineno} catches {', '.join(sorted(names))}")
    assert found == []


UNPICKLERS = {
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "cloudpickle.load",
    "cloudpickle.loads",
    "joblib.load",
    "pandas.read_pickle",
    "pd.read_pickle",
    "dill.load",
    "dill.loads",
}


def unsafe_load(call: ast.Call) -> bool:
    """Whether a call can run code out of a file."""
    name = ast.unparse(call.func)
    options = {option.arg: ast.unparse(option.value) for option in call.keywords}
    if name == "torch.load":
        return options.get("weights_only") != "True"
    if name in ("np.load", "numpy.load"):
        return options.get("allow_pickle", "False") != "False"
    return name in UNPICKLERS


@pytest.mark.parametrize(
    ("code", "unsafe"),
    [
        ("pickle.loads(data)", True),
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=False)", True),
        ("torch.load(path, weights_only=True)", False),
        ("np.load(path)", False),
        ("np.load(path, allow_pickle=True)", True),
        ("json.loads(data)", False),
    ],
)
def test_what_counts_as_an_unsafe_load(code: str, unsafe: bool) -> None:
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert unsafe_load(call) is unsafe


def test_nothing_is_unpickled() -> None:
    found = [
        f"{shown(path)}:{node.lineno} {ast.unparse(node.func)}"
        for path, node in nodes(ast.Call)
        if isinstance(node, ast.Call) and unsafe_load(node)
    ]
    assert found == []


def test_every_ignored_type_error_is_named() -> None:
    bare = re.compile(r"#\s*type:\s*ignore(?!\[)")
    found = [
        f"{shown(path)}:{number}"
        for path in source_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if bare.search(line)
    ]
    assert found == []


def test_every_preset_is_a_whole_recipe() -> None:
    presets = preset_names()
    assert ("llava_rad", "paper") in presets
    assert ("llava_rad", "tiny") in presets
    for recipe, scale in presets:
        settings = load_settings(recipe, scale)
        assert (settings.recipe, settings.scale) == (recipe, scale)


def test_nothing_names_a_home_folder() -> None:
    homes = re.compile(r"(?<![\w.{}$-])/(?:" + "|".join(["home", "Users", "root"]) + r")/\w+")
    found = [
        f"{name}: {match.group()}"
        for name, text in tracked_texts()
        for match in homes.finditer(text)
    ]
    assert found == []


def test_nothing_is_left_to_be_done() -> None:
    marks = re.compile(r"\b(?:" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")
    found = [
        f"{name}: {line.strip()}"
        for name, text in tracked_texts()
        if name.endswith((".py", ".toml", ".md", ".sh"))
        for line in text.splitlines()
        if marks.search(line)
    ]
    assert found == []


def test_there_is_no_stub() -> None:
    found = [
        f"{shown(path)}:{node.lineno}"
        for path, node in nodes(ast.Raise)
        if isinstance(node, ast.Raise) and node.exc is not None
        if "NotImplementedError" in ast.unparse(node.exc)
    ]
    assert found == []


def test_the_guide_for_contributors_names_files_that_exist() -> None:
    text = (HOUSE / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`([\w./]+/[\w./]*|[\w./]+\.(?:md|toml))`", text)
    assert len(paths) > 25
    assert [path for path in paths if not (HOUSE / path).exists()] == []


def test_the_guide_for_contributors_names_what_the_code_defines() -> None:
    text = " ".join((HOUSE / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    pairs = re.findall(r"`(\w+)`(?: and `\w+`)? (?:in|of|\() ?`([\w/]+\.py)`", text)
    assert len(pairs) >= 10
    missing = [
        f"{name} in {path}"
        for name, path in pairs
        if not re.search(rf"\b{name}\b", (HOUSE / path).read_text(encoding="utf-8"))
    ]
    assert missing == []


def test_commits_are_checked_by_the_locked_tools_alone() -> None:
    hooks = (HOUSE / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"repo: (\S+)", hooks) == ["local"]
    entries = re.findall(r"entry: (\S+)", hooks)
    assert {Path(entry).name for entry in entries} == {"ruff", "mypy", "lint-imports"}
    assert all(entry.startswith(".venv/bin/") for entry in entries)


def test_the_licence_is_the_one_that_the_package_declares() -> None:
    licence = (HOUSE / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert 'license = "Apache-2.0"' in (HOUSE / "pyproject.toml").read_text(encoding="utf-8")


def test_duckdb_draws_no_progress_into_what_commands_print() -> None:
    with connect() as connection:
        drawn = connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()
    assert drawn == [(False,)]
    others = [
        shown(path)
        for path in source_files()
        if "duckdb.connect(" in path.read_text(encoding="utf-8")
    ]
    assert others == ["infra/tables.py"]


def test_no_thread_shares_duckdbs_own_connection() -> None:
    """``duckdb.execute`` and its like use one of the process, which two threads may not at once."""
    shared = re.compile(r"\bduckdb\.(execute|sql|query|read_\w+|from_\w+)\(")
    found = [
        shown(path) for path in source_files() if shared.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
