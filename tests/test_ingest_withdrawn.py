"""Studies of subjects who withdrew leave as rows without an id, in the piece where they were."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from raw_world import look, write_raw

from infra.store import Store
from infra.tombstones import Tombstone, Tombstones, make_key, read_tombstones, write_tombstone
from sources.record import (
    REJECTED_SCHEMA,
    Dialogue,
    Image,
    Level,
    Reading,
    Rejected,
    Study,
    Turn,
    View,
    rejected_to_table,
    studies_to_table,
)
from tasks.ingest.studies import ingest_studies
from tasks.ingest.withdrawn import drop_withdrawn, withdrawn_studies


def study(name: str, subject: str | None, images: int = 1, questions: int = 0) -> Study:
    turns = (Turn("user", "Is it clear?"), Turn("assistant", "Yes."))
    return Study(
        "mimic_cxr",
        name,
        subject,
        None,
        tuple(Image(f"{name}-{number}", View.PA, f"{name}.jpg") for number in range(images)),
        dialogues=tuple(Dialogue(f"{name}q{n}", (f"{name}-0",), turns) for n in range(questions)),
    )


def lost(name: str, level: Level, row: str) -> Rejected:
    return Rejected("mimic_cxr", level, row, name, "file-missing", f"no file at {row}.jpg")


def reading() -> Reading:
    studies = [study("a", "p1", 2, 1), study("b", "p2"), study("c", None), study("d", "p1")]
    rejected = [
        lost("a", Level.IMAGE, "a-9"),
        lost("e", Level.STUDY, "e"),
        lost("e", Level.IMAGE, "e-0"),
        lost("b", Level.IMAGE, "b-9"),
    ]
    return Reading(
        studies_to_table(studies), rejected_to_table(rejected), 5, 8, 1, lost_owners={"e": "p1"}
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), tmp_path / "state")


def withdraw(store: Store, *told: tuple[str, str]) -> Tombstones:
    tombstones = make_key(store)
    for kind, name in told:
        digest = tombstones.digest("mimic_cxr", kind, name)  # type: ignore[arg-type]
        write_tombstone(store, Tombstone(digest, kind, "2026-11-29"))  # type: ignore[arg-type]
    return read_tombstones(store)


CHOSEN = [
    ((), set()),
    ((("subject", "p1"),), {"a", "d", "e"}),
    ((("study", "d"),), {"d"}),
    ((("subject", "c"),), {"c"}),
    ((("subject", "p9"),), set()),
    ((("subject", "p2"), ("study", "e")), {"b", "e"}),
]


@pytest.mark.parametrize(("told", "gone"), CHOSEN)
def test_studies_are_told_by_subject_by_study_and_when_they_were_rejected(
    store: Store, told: tuple[tuple[str, str], ...], gone: set[str]
) -> None:
    assert withdrawn_studies(reading(), "mimic_cxr", withdraw(store, *told)) == gone


def test_sources_with_the_same_persons_share_tombstones(store: Store) -> None:
    tombstones = withdraw(store, ("subject", "p1"))
    assert withdrawn_studies(reading(), "medical_diff_vqa", tombstones) == {"a", "d", "e"}
    assert withdrawn_studies(reading(), "chexpert", tombstones) == frozenset()


def test_each_row_that_goes_leaves_one_without_an_id() -> None:
    told = reading()
    studies, rejected = drop_withdrawn(told.studies, told.rejected, {"a", "e"})
    assert studies["study_id"].to_pylist() == ["b", "c", "d"]
    rows = rejected.to_pylist()
    assert rows[0]["row_id"] == "b-9"
    withdrawn = [row for row in rows if row["reason"] == "withdrawn"]
    assert Counter(row["level"] for row in withdrawn) == {"study": 2, "image": 4, "dialogue": 1}
    assert {(row["row_id"], row["study_id"]) for row in withdrawn} == {("withdrawn", None)}
    text = repr(withdrawn)
    assert not any(name in text for name in ("a-", "e-", "p1", ".jpg"))
    assert rejected.schema.equals(REJECTED_SCHEMA)


def test_counts_still_add_up() -> None:
    told = reading()
    studies, rejected = drop_withdrawn(told.studies, told.rejected, {"a", "d", "e"})
    Reading(studies, rejected, told.studies_in, told.images_in, told.dialogues_in)


def test_a_piece_without_them_is_the_same_table() -> None:
    told = reading()
    left = drop_withdrawn(told.studies, told.rejected, {"x"})
    assert left[0] is told.studies
    assert left[1] is told.rejected


def test_the_order_of_removal_does_not_matter() -> None:
    told = reading()
    at_once = drop_withdrawn(told.studies, told.rejected, {"a", "d"})
    one = drop_withdrawn(told.studies, told.rejected, {"a"})
    then = drop_withdrawn(*one, {"d"})
    assert at_once[0].equals(then[0])
    assert Counter(map(repr, at_once[1].to_pylist())) == Counter(map(repr, then[1].to_pylist()))


def test_only_the_piece_of_a_withdrawn_study_changes(tmp_path: Path) -> None:
    raw = write_raw("chexpert", tmp_path / "raw", 24)
    first = look(tmp_path / "one", {"chexpert": raw})
    before = ingest_studies(first, "chexpert")
    table = pa.concat_tables([pa.parquet.read_table(p) for p in before.files("studies.parquet")])
    row = next(row for row in table.to_pylist() if row["subject_id"])
    second = look(tmp_path / "two", {"chexpert": raw})
    tombstones = make_key(second.store)
    digest = tombstones.digest("chexpert", "study", row["study_id"])
    write_tombstone(second.store, Tombstone(digest, "study", "2026-11-29"))
    after = ingest_studies(second, "chexpert")
    assert after.fingerprint == before.fingerprint
    changed = [
        new.key for old, new in zip(before.pieces, after.pieces, strict=True)
        if old.files != new.files
    ]  # fmt: skip
    assert len(changed) == 1
    count = {each.unit: each for each in after.counts}["studies"]
    assert count.rejected["withdrawn"] == 1
    assert count.rows_in == {each.unit: each for each in before.counts}["studies"].rows_in
