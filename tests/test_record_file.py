"""Sealed JSON records: what is read back is what was written, or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.record_file import SEAL, read_record, sealed
from infra.store import Store

RECORD = {"kind": "images", "pieces": [{"bytes": 12, "facts": {"loss": 0.5}}], "name": "ü"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), tmp_path / "state")


def test_a_record_comes_back(store: Store) -> None:
    store.overwrite("k/r.json", sealed(RECORD))
    assert read_record(store, "k/r.json") == RECORD


def test_tuples_come_back_as_lists(store: Store) -> None:
    store.overwrite("r.json", sealed({"names": ("a", "b")}))
    assert read_record(store, "r.json") == {"names": ["a", "b"]}


def test_no_single_flipped_bit_passes(store: Store) -> None:
    """Spaces between tokens may differ: then the record says the same all the same."""
    text = sealed(RECORD).encode()
    for place in range(len(text)):
        for bit in range(8):
            damaged = bytearray(text)
            damaged[place] ^= 1 << bit
            Path(store.path("r.json")).write_bytes(bytes(damaged))
            assert read_record(store, "r.json") in (None, RECORD), damaged[place - 9 : place + 9]


@pytest.mark.parametrize("length", [0, 1, 50, -1])
def test_a_truncated_record_is_none(store: Store, length: int) -> None:
    store.overwrite("r.json", sealed(RECORD)[:length])
    assert read_record(store, "r.json") is None


@pytest.mark.parametrize(
    "text",
    ["[]", "3", "null", "{}", '{"a": 1}', '{"seal": 3}', '{"a": NaN, "seal": "x"}', "\x00", "{"],
)
def test_what_is_no_sealed_record_is_none(store: Store, text: str) -> None:
    store.overwrite("r.json", text)
    assert read_record(store, "r.json") is None


def test_an_absent_record_is_none(store: Store) -> None:
    assert read_record(store, "k/r.json") is None


def test_the_seal_covers_everything_else(store: Store) -> None:
    record = json.loads(sealed(RECORD))
    assert set(record) == {*RECORD, SEAL}
    record["more"] = 1
    store.overwrite("r.json", json.dumps(record))
    assert read_record(store, "r.json") is None


def test_a_number_that_json_lacks_is_not_sealed() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        sealed({"loss": float("nan")})
