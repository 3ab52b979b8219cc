"""The contract of facts: columns and types are frozen, and any tool reads what is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.errors import ArtifactError
from infra.facts.contract import (
    COLUMNS,
    KINDS,
    VERSION,
    document,
    from_json,
    schema,
    table,
    to_json,
)
from infra.facts.files import fact_files, file_name, place_of, read_facts, read_file, write_facts
from tests.facts_world import HOUSE_PAGE, house, row, write_history

FROZEN = {
    "runs": "run_id:string recorded_at:time flow:string recipe:string scale:string goal:string "
    "state:string started_at:time expected_at:time seconds:double late_seconds:double "
    "trigger:string why:string steps:int64 built:int64 cached:int64 failed:int64 "
    "replicas:bool git_commit:string host:string",
    "steps": "run_id:string recorded_at:time recipe:string scale:string kind:string name:string "
    "state:string why:string seconds:double checking_seconds:double attempts:int64 "
    "pieces:int64 built_pieces:int64 rows_in:int64 kept:int64 rejected:int64 drift:string "
    "fingerprint:string",
    "rows": "run_id:string recorded_at:time source:string kind:string unit:string state:string "
    "rows_in:int64 kept:int64 rejected:int64 handled:int64",
    "rejects": "run_id:string recorded_at:time source:string kind:string unit:string reason:string "
    "count:int64",
    "llm": "run_id:string recorded_at:time source:string task:string model:string requests:int64 "
    "kept:int64 failed:int64 cached:int64 retried:int64 rate_limited:int64 "
    "input_tokens:int64 output_tokens:int64 cost_usd:double unpriced:int64",
    "stages": "run_id:string recorded_at:time recipe:string scale:string stage:string kind:string "
    "fingerprint:string device:string devices:int64 steps:int64 seconds:double "
    "useful_tokens_per_second:double examples_per_second:double images_per_second:double "
    "mfu:double data_wait_share:double peak_memory_gib:double first_loss:double "
    "last_loss:double validate_loss:double bar:string missed:string",
    "scores": "run_id:string recorded_at:time recipe:string scale:string ability:string "
    "model:string fingerprint:string metric:string part:string value:double low:double "
    "high:double n:int64 higher_is_better:bool signature:string",
    "aliases": "run_id:string recorded_at:time model:string alias:string version:int64 "
    "previous:int64 scores:string",
    "drift": "run_id:string recorded_at:time model:string version:int64 fingerprint:string "
    "source:string quantity:string reference:double recent:double reference_subjects:int64 "
    "recent_subjects:int64 p_holm:double drifted:bool level:double",
}
"""Of version 1. A column may be added at the end; anything else needs another version."""
NOW = datetime(2026, 11, 29, 15, 53, 45, 250_000, tzinfo=UTC)


def test_names_and_types_of_version_1_are_frozen() -> None:
    shown = {
        kind: " ".join(
            f"{name}:{'time' if pa.types.is_timestamp(type_) else type_}"
            for name, (type_, _) in columns.items()
        )
        for kind, columns in COLUMNS.items()
    }
    assert VERSION == 1
    assert shown == FROZEN


def test_times_are_utc_and_every_file_tells_its_version_and_its_columns_meaning() -> None:
    for kind in KINDS:
        found = schema(kind)
        assert found.metadata == {b"cxrflow.facts": b"1", b"cxrflow.kind": kind.encode()}
        assert all(field.metadata[b"meaning"] for field in found)
        assert found.field("recorded_at").type == pa.timestamp("us", tz="UTC")


def test_the_page_tells_every_table_and_column() -> None:
    text = HOUSE_PAGE.read_text(encoding="utf-8")
    for kind, columns in COLUMNS.items():
        section = text.partition(f"## `{kind}`")[2].partition("\n## ")[0]
        told = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}
        assert told == set(columns), kind


def test_rows_come_back_as_they_were_and_what_is_not_finite_as_null(tmp_path: Path) -> None:
    store = house(tmp_path)
    told = row("runs", run_id="a", recorded_at=NOW, started_at=NOW, seconds=float("nan"), steps=3)
    assert write_facts(store, "runs", "one", NOW, [told])
    [found] = read_facts(store, "runs")
    assert found == {**told, "seconds": None}
    assert fact_files(store, "runs") == ["facts/v1/runs/month=2026-11/one.parquet"]


def test_json_brings_rows_back_and_is_plain(tmp_path: Path) -> None:
    told = row(
        "runs", run_id="a", recorded_at=NOW, started_at=NOW, expected_at=None, seconds=float("inf")
    )
    plain = json.loads(json.dumps(to_json(told), allow_nan=False))
    assert plain["recorded_at"] == "2026-11-29T15:53:45.250000+00:00"
    assert from_json("runs", plain) == {**told, "seconds": None}
    shown = json.loads(document({"runs": [told]}))
    assert (shown["version"], shown["kinds"]) == (1, {"runs": [plain]})


@pytest.mark.parametrize("change", [{"colour": 1}, {"run_id": None}])
def test_a_row_with_other_columns_is_a_mistake_of_ours(change: dict[str, object]) -> None:
    told = {**row("rejects"), **change}
    if change.get("run_id", 1) is None:
        del told["run_id"]
    with pytest.raises(ValueError, match="a row of rejects differs in"):
        table("rejects", [told])


def test_no_rows_make_no_file_and_the_first_writer_wins(tmp_path: Path) -> None:
    store = house(tmp_path)
    assert write_facts(store, "llm", "none", NOW, [])
    assert fact_files(store, "llm") == []
    first, second = (row("rejects", run_id=name, recorded_at=NOW) for name in ("first", "second"))
    assert write_facts(store, "rejects", "same", NOW, [first])
    assert not write_facts(store, "rejects", "same", NOW, [second])
    assert [each["run_id"] for each in read_facts(store, "rejects")] == ["first"]
    write_facts(store, "rejects", "same", NOW, [second], anew=True)
    assert [each["run_id"] for each in read_facts(store, "rejects")] == ["second"]


def test_a_file_of_an_older_minor_version_lacks_columns_and_reads_as_null(tmp_path: Path) -> None:
    store = house(tmp_path)
    write_facts(
        store, "rejects", "old", NOW, [row("rejects", run_id="a", recorded_at=NOW, count=3)]
    )
    [place] = fact_files(store, "rejects")
    path = tmp_path / place
    pq.write_table(pq.read_table(path, partitioning=None).drop(["unit"]), path)
    [found] = read_file(store, "rejects", place)
    assert (found["unit"], found["count"]) == (None, 3)


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"no parquet at all, but of some length"])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, damage: bytes) -> None:
    store = house(tmp_path)
    write_facts(store, "runs", "one", NOW, [row("runs", run_id="a", recorded_at=NOW)])
    [place] = fact_files(store, "runs")
    (tmp_path / place).write_bytes(damage)
    with pytest.raises(ArtifactError, match=r"one\.parquet damaged; .*move it away"):
        read_facts(store, "runs")


def test_another_programs_parquet_is_no_fact(tmp_path: Path) -> None:
    store = house(tmp_path)
    place = tmp_path / place_of("runs", "one", NOW)
    place.parent.mkdir(parents=True)
    pq.write_table(pa.table({"at": [1]}), place)
    with pytest.raises(ArtifactError, match=r"one\.parquet damaged"):
        read_facts(store, "runs")


def test_since_leaves_out_rows_and_months_but_not_a_long_run(tmp_path: Path) -> None:
    store = house(tmp_path)
    began = NOW - timedelta(days=20)
    for name, at in (("long", NOW), ("old", began), ("ancient", NOW - timedelta(days=90))):
        started = began if name == "long" else at
        write_facts(store, "runs", file_name(started, name), started, [
            row("runs", run_id=name, recorded_at=at, started_at=started)
        ])  # fmt: skip
    since = NOW - timedelta(days=1)
    assert [each["run_id"] for each in read_facts(store, "runs", since)] == ["long"]
    assert len(fact_files(store, "runs")) == 3
    assert place_of("runs", "x", began) == "facts/v1/runs/month=2026-11/x.parquet"
    assert len(fact_files(store, "runs", since)) == 2


def sql_blocks() -> list[str]:
    text = HOUSE_PAGE.read_text(encoding="utf-8")
    return [part.partition("```")[0] for part in text.split("```sql\n")[1:]]


@pytest.mark.parametrize("query", sql_blocks())
def test_every_query_of_the_page_returns_rows(
    query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_history(tmp_path / "data", datetime.now(UTC))
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as database:
        assert len(database.sql(query).to_arrow_table()) > 0


def test_facts_on_an_object_store_are_the_same() -> None:
    """fsspec's memory file system stands for an object store: no rename, no append."""
    from infra.store import Store

    store = Store("memory://facts-contract", Path("unused"), make=False)
    told = row("rejects", run_id="a", recorded_at=NOW)
    assert write_facts(store, "rejects", "one", NOW, [told])
    assert read_facts(store, "rejects") == [told]
    store.fs.rm("/facts-contract", recursive=True)
