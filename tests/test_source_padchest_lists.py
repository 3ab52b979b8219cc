"""PadChest's list cells in SQL: items, places, and what a study's union of labels keeps."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.padchest_labels import mapping
from sources.padchest_lists import STATEMENTS, items_sql
from sources.record import OBSERVATIONS


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def items(connection: duckdb.DuckDBPyConnection, cell: str | None) -> list[str]:
    row = connection.execute(f"SELECT {items_sql('$cell')}", {"cell": cell}).fetchone()
    assert row is not None
    found: list[str] = row[0]
    return found


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("['alveolar pattern', 'pneumonia']", ["alveolar pattern", "pneumonia"]),
        ("['alveolar pattern', ' pneumonia']", ["alveolar pattern", "pneumonia"]),
        ("['', 'normal', '  ']", ["normal"]),
        ("['loc right, basal', 'loc  left']", ["loc right, basal", "loc  left"]),
        ("[\"o'brien sign\", 'mass']", ["o'brien sign", "mass"]),
        ("[]", []),
        ("", []),
        ("nan", []),
        (None, []),
        ("['C0034069' 'C0742362' '']", ["C0034069", "C0742362"]),
        ("['unclosed, 'mass']", ["unclosed,"]),
    ],
)
def test_items_of_a_cell(
    connection: duckdb.DuckDBPyConnection, cell: str | None, found: list[str]
) -> None:
    assert items(connection, cell) == found


WORDS = st.text(alphabet="abcd ,'[]éñ.", max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=5))
def test_any_list_that_python_prints_is_read_back(words: list[str]) -> None:
    with duckdb.connect() as opened:
        assert items(opened, repr(words)) == [word.strip(" ") for word in words if word.strip(" ")]


Row = tuple[str, str, str]


def run(*rows: Row) -> duckdb.DuckDBPyConnection:
    """All statements over rows of (study_id, names, sentences)."""
    opened = duckdb.connect()
    columns = list(zip(*rows, strict=True))
    plain = dict(zip(("study_id", "names", "sentences"), columns, strict=True))
    opened.register("plain", pa.table(plain))
    names, observations, values = zip(*mapping(), strict=True)
    meanings = {"name": names, "observation": observations, "value": values}
    opened.register("meanings", pa.table(meanings))
    for statement in STATEMENTS:
        opened.execute(statement)
    return opened


def names_of(*rows: Row) -> tuple[list[str], bool, str | None]:
    with run(*rows) as opened:
        found = opened.execute("SELECT names, is_normal, study_reason FROM study_names").fetchone()
    assert found is not None
    return sorted(found[0]), found[1], found[2]


@pytest.mark.parametrize(
    ("cells", "names", "is_normal", "reason"),
    [
        (["['normal']"], ["normal"], True, None),
        (["['normal', 'scoliosis']"], ["scoliosis"], False, None),
        (["['normal', 'sternotomy', 'pacemaker']"], ["pacemaker", "sternotomy"], True, None),
        (["['normal']", "['mass']"], ["mass"], False, None),
        (["['exclude', 'normal']"], ["normal"], True, None),
        (["['exclude']", ""], [], False, "label-exclude"),
        (["['suboptimal study']"], [], False, "label-suboptimal"),
        (["", "[]"], [], False, None),
    ],
)
def test_names_of_a_study(
    cells: list[str], names: list[str], is_normal: bool, reason: str | None
) -> None:
    assert names_of(*(("s", cell, "") for cell in cells)) == (names, is_normal, reason)


def test_labels_stand_in_the_order_of_the_observations() -> None:
    cell = "['pneumothorax', 'cardiomegaly', 'pacemaker', 'pneumonia', 'nodule']"
    with run(("s", cell, "")) as opened:
        ((labels,),) = opened.execute("SELECT labels FROM study_labels").fetchall()
    order = [OBSERVATIONS.index(label["observation"]) for label in labels]
    assert order == sorted(order)
    assert len(order) == 5


def test_positive_wins_over_uncertain() -> None:
    cell = "['costophrenic angle blunting', 'pleural effusion']"
    with run(("s", cell, "")) as opened:
        ((labels,),) = opened.execute("SELECT labels FROM study_labels").fetchall()
    assert labels == [{"observation": "Pleural Effusion", "value": "positive"}]


def places_of(sentences: str) -> set[tuple[str, str | None]]:
    with run(("s", "", sentences)) as opened:
        return set(opened.execute('SELECT name, "location" FROM placed').fetchall())


@pytest.mark.parametrize(
    ("sentences", "placed"),
    [
        ("[['mass', 'loc right']]", {("mass", "right")}),
        ("[['mass', 'loc  right', 'loc hilar']]", {("mass", "right, hilar")}),
        ("[['mass', 'nodule', 'loc left']]", {("mass", None), ("nodule", "left")}),
        ("[['loc left', 'mass']]", {("mass", None)}),
        ("[['mass', 'loc left'], ['mass', 'loc right']]", {("mass", "left"), ("mass", "right")}),
        ("[['mass', 'loc left'], ['mass', 'loc left']]", {("mass", "left")}),
        ("[['normal'], []]", {("normal", None)}),
        ("[]", set()),
    ],
)
def test_places_follow_their_label(sentences: str, placed: set[tuple[str, str | None]]) -> None:
    assert places_of(sentences) == placed


def test_source_labels_keep_only_names_of_the_study() -> None:
    """``normal`` in a sentence does not mean a normal image."""
    with run(("s", "['mass']", "[['normal'], ['mass', 'loc left'], ['goiter']]")) as opened:
        ((labels,),) = opened.execute("SELECT source_labels FROM study_source_labels").fetchall()
    assert [(label["name"], label["location"]) for label in labels] == [("mass", "left")]


def test_studies_do_not_mix() -> None:
    with run(("s", "['mass']", ""), ("t", "['nodule']", "")) as opened:
        rows = opened.execute("SELECT study_id, names FROM study_names ORDER BY 1").fetchall()
    assert rows == [("s", ["mass"]), ("t", ["nodule"])]
