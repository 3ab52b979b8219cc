"""Whose a request is, is known for as long as its answer lies there, and says nobody's name."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import BaseModel
from test_llm_cache import stored

from infra.egress import Egress
from infra.errors import InputError
from infra.llm.batch_state import BatchState
from infra.llm.cache import AnswerCache
from infra.llm.compaction import compact
from infra.llm.erasure import unowned_requests
from infra.llm.owners import OWNERS_FILE, Owners, drop_owners, known_requests
from infra.llm.request import ChatRequest, Message


class Shape(BaseModel):
    """An answer."""

    text: str


def asked(said: str, study: str | None, subject: str | None = None) -> ChatRequest:
    messages = (Message("user", said),)
    return ChatRequest(
        "manifest", Egress.ANY, "m", messages, Shape, "p-1", 0.0, None, 9, study, subject
    )


def noted(state: Path, *requests: ChatRequest) -> list[str]:
    with closing(Owners(state)) as owners:
        owners.note((request.identity(), request) for request in requests)
    return [request.identity() for request in requests]


def test_the_owner_is_no_part_of_a_requests_identity() -> None:
    assert asked("clear", "s1", "p1").identity() == asked("clear", "s2").identity()


def test_requests_are_found_by_study_and_by_subject(tmp_path: Path) -> None:
    keys = noted(
        tmp_path, asked("a", "s1", "p1"), asked("b", "s2", "p1"), asked("c", "s3"), asked("d", None)
    )
    with closing(Owners(tmp_path)) as owners:
        assert owners.requests_of(["manifest"], None, ["s1"]) == {keys[0]}
        assert owners.requests_of(["manifest", "openi"], "p1", []) == set(keys[:2])
        assert owners.requests_of(["manifest"], "s3", []) == {keys[2]}
        assert owners.requests_of(["openi"], "p1", ["s1"]) == set()
        assert owners.requests_of(["manifest"], "p", ["s"]) == set()
    assert known_requests(tmp_path) == set(keys[:3])


def test_a_request_of_two_studies_is_both_theirs(tmp_path: Path) -> None:
    one, two = noted(tmp_path, asked("clear", "s1", "p1"), asked("clear", "s2", "p2"))
    assert one == two
    drop_owners(tmp_path, ["manifest"], "p1", ["s1"])
    with closing(Owners(tmp_path)) as owners:
        assert owners.requests_of(["manifest"], "p1", ["s1"]) == set()
        assert owners.requests_of(["manifest"], "p2", []) == {two}


def test_no_id_is_in_the_file_and_its_owner_alone_may_read_it(tmp_path: Path) -> None:
    noted(tmp_path, asked("a", "study-50414267", "subject-10000032"))
    for path in tmp_path.glob(f"{OWNERS_FILE}*"):
        assert b"50414267" not in path.read_bytes()
        assert b"10000032" not in path.read_bytes()
    assert (tmp_path / OWNERS_FILE).stat().st_mode & 0o077 == 0


def test_another_state_folder_has_other_digests(tmp_path: Path) -> None:
    rows = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        noted(tmp_path / name, asked("a", "s1", "p1"))
        with closing(sqlite3.connect(tmp_path / name / OWNERS_FILE)) as run:
            rows.append(set(run.execute("SELECT owner FROM owners").fetchall()))
    assert not rows[0] & rows[1]


def test_what_is_no_list_of_owners_is_one_line(tmp_path: Path) -> None:
    (tmp_path / OWNERS_FILE).write_text("no database, but long enough to be looked at" * 9)
    with pytest.raises(InputError, match="no list of owners"):
        Owners(tmp_path)


def test_stored_requests_of_nobody_are_told_wherever_they_lie(tmp_path: Path) -> None:
    (known,) = noted(tmp_path, asked("a", "s1"))
    with closing(AnswerCache(tmp_path, "rules-1")) as cache:
        cache.put(stored("a" * 32))
        cache.put(stored(known))
        compact(cache)
        cache.put(stored("b" * 32))
    with closing(BatchState(tmp_path, "here")) as state:
        state.claim([["c" * 32]], 2e9)
    assert unowned_requests(tmp_path, {"b" * 32}) == {"a" * 32, "c" * 32}
