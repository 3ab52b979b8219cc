"""Tombstones tell who withdrew to whoever asks with an id, and to nobody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.errors import ArtifactError
from infra.store import Store
from infra.tombstones import (
    Tombstone,
    make_key,
    read_records,
    read_tombstones,
    withdrawn_from,
    write_tombstone,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), tmp_path / "state")


def raise_one(store: Store, kind: str, name: str, **learned: str) -> str:
    digest = make_key(store).digest("mimic_cxr", kind, name)  # type: ignore[arg-type]
    stages = {f"stages/{stage}": made for stage, made in learned.items()}
    write_tombstone(store, Tombstone(digest, kind, "2026-11-29", stages))  # type: ignore[arg-type]
    return digest


def test_a_root_without_any_covers_nobody(store: Store) -> None:
    assert not read_tombstones(store).covers("mimic_cxr", "10000032", "50414267")
    assert store.list_folder("withdrawn") == []


def test_a_subject_covers_all_their_studies_and_a_study_itself_alone(store: Store) -> None:
    raise_one(store, "subject", "10000032")
    raise_one(store, "study", "50999999")
    found = read_tombstones(store)
    assert found.covers("mimic_cxr", "10000032", "50414267")
    assert found.covers("mimic_cxr", "10000099", "50999999")
    assert not found.covers("mimic_cxr", "10000099", "50414267")
    assert not found.covers("chexpert", "10000032", "50414267")
    assert not found.covers("mimic_cxr", "50999999", "1"), "a study's id is no subject's"


def test_a_study_without_a_subject_is_its_own_owner(store: Store) -> None:
    raise_one(store, "subject", "scan-7")
    assert read_tombstones(store).covers("mimic_cxr", None, "scan-7")


def test_no_id_is_in_what_is_written(store: Store, tmp_path: Path) -> None:
    raise_one(store, "subject", "10000032")
    text = "".join(p.read_text() + p.name for p in (tmp_path / "data" / "withdrawn").iterdir())
    assert "10000032" not in text


def test_every_root_has_a_key_of_its_own_that_others_may_not_read(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        store = Store(str(tmp_path / name), tmp_path / "state")
        digests.add(raise_one(store, "subject", "10000032"))
        assert (tmp_path / name / "withdrawn" / "key.json").stat().st_mode & 0o077 == 0
        assert make_key(store) == make_key(store)
    assert len(digests) == 2


def test_a_damaged_key_stops_ingestion(store: Store, tmp_path: Path) -> None:
    raise_one(store, "subject", "10000032")
    key = tmp_path / "data" / "withdrawn" / "key.json"
    key.write_text(json.dumps({"key": "00" * 32}))
    with pytest.raises(ArtifactError, match=r"no sound key at .*restore it"):
        read_tombstones(store)


def test_a_damaged_record_still_counts(store: Store, tmp_path: Path) -> None:
    digest = raise_one(store, "subject", "10000032")
    (tmp_path / "data" / "withdrawn" / f"{digest}.json").write_text("{")
    assert read_tombstones(store).covers("mimic_cxr", "10000032", "1")
    assert read_records(store) == []


def test_a_stage_that_was_trained_anew_knows_nothing_of_them(store: Store) -> None:
    raise_one(store, "subject", "1", finetune="monday", align="monday")
    raise_one(store, "subject", "2", finetune="monday")
    raise_one(store, "subject", "3", finetune="friday")
    assert withdrawn_from(store, {"stages/finetune": "monday"}) == 2
    assert withdrawn_from(store, {"stages/finetune": "friday", "stages/align": "monday"}) == 2
    assert withdrawn_from(store, {"stages/finetune": "sunday"}) == 0
