"""Digests that decide what runs again: of values, raw files and code."""

from __future__ import annotations

import ast
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.fingerprint import (
    HOUSE,
    PACKAGES,
    _import_statements,
    canonical_json,
    code_digests,
    drifted_modules,
    file_digest,
    fingerprint,
    stat_digest,
    tree_digest,
)
from infra.settings import load_settings
from sources.catalog import catalog
from tasks.graph import CODE, SCORED_APART, build_graph

LEAVES = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=4)
VALUES = st.recursive(
    LEAVES | st.floats(-9, 9, allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
TABLES = st.dictionaries(st.text(max_size=3), VALUES, min_size=1, max_size=5)


def reordered(value: Any) -> Any:
    """The same value with the keys of every table the other way round."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(TABLES)
def test_the_order_of_keys_is_irrelevant(table: dict[str, Any]) -> None:
    assert fingerprint(reordered(table)) == fingerprint(table)


@given(TABLES)
def test_a_trip_through_json_changes_nothing(table: dict[str, Any]) -> None:
    """A manifest is read back from JSON and compared with settings that never left memory."""
    assert fingerprint(json.loads(json.dumps(table))) == fingerprint(table)


@given(TABLES, st.data())
def test_any_change_changes_it(table: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(table)))
    other = data.draw(
        VALUES.filter(lambda value: canonical_json(value) != canonical_json(table[key]))
    )
    assert fingerprint({**table, key: other}) != fingerprint(table)
    without = {name: value for name, value in table.items() if name != key}
    assert fingerprint(without) != fingerprint(table)
    assert fingerprint({**table, f"{key} ": 0, f"{key}  ": 1}) != fingerprint(table)


def test_types_that_look_alike_differ() -> None:
    values: list[Any] = [1, "1", True, 1.0, [1], {"1": 1}, None, "null", ""]
    assert len({fingerprint(value) for value in values}) == len(values)


def test_golden_fingerprints() -> None:
    """Every artifact's name follows from these; a change rebuilds everybody's data."""
    assert fingerprint({"b": [1, 2.5, None], "a": "ü"}) == "f1184f5ca494414e"
    assert canonical_json({"b": 1, "a": "ü"}) == '{"a":"\\u00fc","b":1}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_numbers_that_json_lacks_are_errors(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint(value)


@pytest.mark.parametrize("value", [{1, 2}, Path("x"), b"bytes", {"a": object()}, {(1, 2): 3}])
def test_values_that_json_lacks_are_errors(value: Any) -> None:
    with pytest.raises(TypeError):
        fingerprint(value)


def test_a_file_is_digested_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(range(256)) * 4096 * 3 + b"end")
    whole = file_digest(path)
    path.write_bytes(bytes(range(256)) * 4096 * 3 + b"enD")
    assert file_digest(path) != whole
    assert len(whole) == 32


def raw_tree(root: Path) -> list[str]:
    names = ["b.csv", "deep/a.csv"]
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        os.utime(path, ns=(0, number))
    return names


def test_raw_files_count_by_path_size_and_time(tmp_path: Path) -> None:
    names = raw_tree(tmp_path)
    before = stat_digest(tmp_path, names)
    assert stat_digest(tmp_path, reversed(names)) == before
    os.utime(tmp_path / "b.csv", ns=(0, 7))
    touched = stat_digest(tmp_path, names)
    (tmp_path / "b.csv").write_text("xy")
    os.utime(tmp_path / "b.csv", ns=(0, 0))
    grown = stat_digest(tmp_path, names)
    fewer = stat_digest(tmp_path, names[1:])
    assert len({before, touched, grown, fewer}) == 4


def test_a_link_to_nothing_counts_as_absent(tmp_path: Path) -> None:
    names = [*raw_tree(tmp_path), "later.csv"]
    (tmp_path / "later.csv").symlink_to(tmp_path / "annex" / "later.csv")
    before = stat_digest(tmp_path, names)
    (tmp_path / "annex").mkdir()
    (tmp_path / "annex" / "later.csv").write_text("here now")
    assert stat_digest(tmp_path, names) != before


def test_code_is_followed_through_imports() -> None:
    digests = code_digests("infra.record_file")
    assert list(digests) == [
        "infra.errors",
        "infra.fingerprint",
        "infra.record_file",
        "infra.store",
        "infra.tree_lines",
        "infra.tree_walk",
    ]
    assert all(len(digest) == 16 for digest in digests.values())


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_statement_is_missed(package: str) -> None:
    paths = sorted((HOUSE / package).rglob("*.py"))
    assert paths
    for path in paths:
        text = path.read_bytes()
        whole = ast.walk(ast.parse(text))
        imports = {
            ast.dump(node) for node in whole if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert imports <= {ast.dump(node) for node in _import_statements(text)}, path


def test_what_is_not_ours_is_not_followed() -> None:
    assert code_digests("json") == {}
    assert code_digests("infra.no_such_module") == {}


@pytest.mark.parametrize("kind", [*CODE, *SCORED_APART])
def test_every_step_names_code_that_is_there(kind: str) -> None:
    named = SCORED_APART[kind][1] if kind in SCORED_APART else CODE[kind]
    modules = [module.format(name="mimic_cxr") for module in named]
    digests = code_digests(*modules)
    assert set(modules) <= digests.keys()
    assert not {name for name in digests if name.startswith("flows")}
    assert all((HOUSE / name.replace(".", "/")).parent.is_dir() for name in digests)


@pytest.mark.parametrize("name", catalog())
def test_an_edited_reader_is_drift_of_its_own_studies(name: str) -> None:
    step = build_graph(
        load_settings("llava_rad", "tiny", [f'sources.routes={{{name}=["keep"]}}']),
        {name: "0"},
        frozenset(),
    )[f"studies/{name}"]
    assert f"sources.{name}" in code_digests(*step.code)


def test_drift_names_what_changed_came_and_went() -> None:
    old = {"a": "1", "b": "2", "c": "3"}
    assert drifted_modules(old, {"a": "1", "b": "9", "d": "4"}) == ("b", "c", "d")
    assert drifted_modules(old, dict(old)) == ()


def every_file(root: Path) -> list[str]:
    """As they were found before folders were read in order; the digest must stay the same."""
    return [
        os.path.relpath(Path(folder) / name, root)
        for folder, _, files in os.walk(root)
        for name in files
        if not name.startswith(".")
    ]


NAMES = st.text(st.sampled_from("ab.-/_ ä0"), min_size=1, max_size=8).filter(
    lambda name: not {"", ".", ".."} & set(name.split("/"))
)


@given(st.lists(NAMES, max_size=12))
def test_a_tree_is_digested_as_its_list_of_files(names: list[str]) -> None:
    """Paths sort otherwise than folders: ``a.b`` lies between ``a`` and ``a/b`` in neither."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number, name in enumerate(names):
            with suppress(OSError):  # a name that is a folder already, or below a file
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text("x" * number)
        assert tree_digest(root) == stat_digest(root, every_file(root))


def test_links_hidden_names_and_what_cannot_be_read(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "film.jpg").write_text("film")
    (root / ".DS_Store").write_text("")
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "gone").symlink_to("nowhere")
    (root / "linked").symlink_to("folder/film.jpg")
    assert tree_digest(root) == stat_digest(root, every_file(root))
    before = tree_digest(root)
    (root / "folder" / ".hidden").write_text("")
    assert tree_digest(root) == before
    os.utime(root / "folder" / "film.jpg", (1, 1))
    assert tree_digest(root) != before
    assert tree_digest(tmp_path / "nothing") == stat_digest(tmp_path, [])
