"""MLflow and Prefect behind servers: databases that answer are searched and changed as SQLite's
are, and what cannot be looked into is never passed over with exit code 0."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import fsspec
import psycopg2
import pytest
from cli_world import Say
from hospital_world import Shot, ingested, write_hospital

from infra.errors import InputError
from infra.postgres_rows import cells, change_texts, is_postgres, values_of
from infra.settings.environment import load_environment
from infra.stack.databases import database_url, make_databases
from infra.stack.place import Place, make_place
from infra.stack.restore import server_alone
from infra.tracking_runs import RunBook
from tasks.forget.dossier import unfinished
from tasks.forget.outside import find_outside

SHOTS = [
    Shot("subject-anna", "study-anna", "a.png", "A zebra stands in this apex, all alone.", 1),
    Shot("subject-bert", "study-bert", "b.png", "An otter stands in this hilum, alone.", 2),
]
OURS = ("--source", "manifest", "--data-root")
TABLE = """
CREATE TABLE flow_run (id uuid PRIMARY KEY, name varchar(80), parameters jsonb, state json,
    tags text[], data bytea, size int);
"""
ROWS = [
    ("0" * 32, "about study-anna", {"study": ["study-anna", 7], "n": 1.5}, {"a": None},
     ["study-anna", "x"], b"none", 1),
    ("1" * 32, "about study-bert", {"study": ["study-bert", 7], "n": 1.5}, {"a": None},
     ["study-bert"], b"study-bert", 2),
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "CXR_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A stack of which PostgreSQL alone is up."""
    top = tmp_path_factory.mktemp("servers")
    for folder in (top, top.parent):
        folder.chmod(0o711)
    found = make_place(top / "stack")
    with server_alone(found):
        asyncio.run(make_databases(found))
        yield found


@pytest.fixture
def prefect(place: Place) -> str:
    """Prefect's database with a table of every kind of text."""
    url = database_url(place, "prefect", "asyncpg")
    with closing(connected(url)) as run, run, run.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS flow_run; {TABLE}")
        for number, name, parameters, state, tags, data, size in ROWS:
            told = (number, name, json.dumps(parameters), json.dumps(state), tags, data, size)
            cursor.execute("INSERT INTO flow_run VALUES (%s, %s, %s, %s, %s, %s, %s)", told)
    return url


def connected(url: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(url.replace("+asyncpg", "").replace("+psycopg2", ""))


def flow_runs(url: str) -> list[tuple[object, ...]]:
    with closing(connected(url)) as run, run, run.cursor() as cursor:
        cursor.execute("SELECT name, parameters, state, tags, data, size FROM flow_run ORDER BY id")
        return [(*row[:4], bytes(row[4]), row[5]) for row in cursor.fetchall()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospital")
    ingested(folder / "data", write_hospital(folder / "raw", SHOTS))
    return folder / "data"


@pytest.fixture
def data(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "data")


def test_texts_of_every_kind_are_read_and_changed(prefect: str) -> None:
    def change(text: str) -> str:
        return text.replace("study-anna", "?")

    said = b"\n".join(cell for _, cell in cells(prefect))
    assert said.count(b"study-anna") == 3
    assert said.count(b"study-bert") == 4
    assert change_texts(prefect, change, dry_run=True) == 1
    before = flow_runs(prefect)
    assert change_texts(prefect, change) == 1
    after = flow_runs(prefect)
    parameters = {"study": ["?", 7], "n": 1.5}
    assert after[0] == ("about ?", parameters, {"a": None}, ["?", "x"], b"none", 1)
    assert after[1:] == before[1:]
    assert change_texts(prefect, change) == 0
    assert values_of(prefect, "flow_run", "name") == {"about ?", "about study-bert"}
    assert values_of(prefect, "no_table", "name") == set()


def test_a_table_that_a_server_holds_is_one_line(prefect: str) -> None:
    with closing(connected(prefect)) as held, held.cursor() as cursor:
        cursor.execute("LOCK TABLE flow_run IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(InputError, match="that cannot be used") as caught:
            change_texts(prefect, str.upper)
        held.rollback()
    assert "study-anna" not in str(caught.value)
    password = prefect.partition("@")[0].rpartition(":")[2]
    assert password not in str(caught.value)
    assert flow_runs(prefect)[0][0] == "about study-anna"


def test_databases_that_answer_are_searched_and_changed(
    data: Path,
    place: Place,
    prefect: str,
    cxr: Say,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    mlflow = database_url(place, "mlflow", "psycopg2")
    book = RunBook(mlflow, "manifest", data / ".state" / "runs")
    objects = fsspec.filesystem("memory")
    store = f"memory://{tmp_path.name}"
    book.client.create_experiment("far", store)
    for number, shot in enumerate(SHOTS):
        book.nested_run("none", f"look at {shot.study}", {"film": shot.study}, {}).end("FINISHED")
        objects.pipe(f"{store}/run/{number}.txt", f"the film of {shot.study}".encode())
    others = flow_runs(prefect)[1:]
    monkeypatch.setenv("CXR_MLFLOW_URI", mlflow)
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", prefect)
    dry = json.loads(cxr("forget", "subject-anna", *OURS, data, "--dry-run", "--json").out)
    assert flow_runs(prefect)[0][0] == "about study-anna"
    said = cxr("forget", "subject-anna", *OURS, data, "--json")
    assert (said.code, said.err) == (0, "")
    told = json.loads(said.out)
    assert told["removed"] == dry["removed"]
    assert told["removed"]["rows of databases"] >= 3
    assert told["proof"]["unsearched"] == []
    assert flow_runs(prefect)[1:] == others
    left = b"\n".join(cell for url in (mlflow, prefect) for _, cell in cells(url))
    assert b"study-anna" not in left
    assert b"look at study-bert" in left
    assert [path.rpartition("/")[2] for path in objects.find(store)] == ["1.txt"]


def test_a_server_that_only_answers_over_http_ends_with_3_until_its_keeper_has_looked(
    data: Path, prefect: str, cxr: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
    said = cxr("forget", "subject-anna", *OURS, data)
    assert said.code == 3
    assert said.err.count("\n") == 1
    assert "error: not searched: Prefect's database behind http://prefect.example/api" in said.err
    assert "PREFECT_API_DATABASE_CONNECTION_URL=postgresql+asyncpg://" in said.err
    assert flow_runs(prefect)[0][0] == "about study-anna"
    assert unfinished(data / ".state") == 1, "the keeper's command needs what is known"
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", prefect)
    said = cxr("forget", "subject-anna", *OURS, data)
    assert (said.code, said.err) == (0, "")
    assert flow_runs(prefect)[0][0] == "about withdrawn"
    assert unfinished(data / ".state") == 0


def test_a_database_that_does_not_answer_is_told_before_anything_changes(
    data: Path, cxr: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in data.rglob("*.parquet")}
    monkeypatch.setenv(
        "PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://u:secret@127.0.0.1:1/prefect"
    )
    said = cxr("forget", "subject-anna", *OURS, data)
    assert said.code == 2
    assert "found a database at postgresql+asyncpg://u:***@127.0.0.1:1/prefect" in said.err
    assert {path: path.read_bytes() for path in data.rglob("*.parquet")} == before


def test_a_stack_tells_its_databases_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = make_place(tmp_path / "stack")
    (own.root / "objects" / "objects" / "mlflow").mkdir(parents=True)
    monkeypatch.setenv("PREFECT_API_URL", f"{own.url('prefect')}/api")
    monkeypatch.setenv("PREFECT_HOME", str(own.root / "prefect"))
    environment = load_environment(
        data_root=str(tmp_path / "data"),
        state_dir=own.root / "state",
        mlflow_uri=own.url("mlflow"),
    )
    found = find_outside(environment)
    folders = ("state", "objects/objects/mlflow", "prefect")
    assert found.folders == tuple(own.root / name for name in folders)
    assert found.databases == (
        database_url(own, "mlflow", "psycopg2"),
        database_url(own, "prefect", "asyncpg"),
    )
    assert found.unsearched == ()


def test_servers_that_only_have_an_address_are_named_with_what_to_do(tmp_path: Path) -> None:
    home = tmp_path / "home" / ".prefect"
    home.mkdir(parents=True)
    profile = 'active = "far"\n[profiles.far]\nPREFECT_API_URL = "http://u:secret@far/api"\n'
    (home / "profiles.toml").write_text(profile)
    (tmp_path / "data" / ".state").mkdir(parents=True)
    environment = load_environment(
        data_root=str(tmp_path / "data"), mlflow_uri="http://u:secret@far:5000"
    )
    mlflow, prefect = find_outside(environment).unsearched
    assert mlflow.startswith("MLflow's store behind http://u:***@far:5000: its keeper runs")
    assert prefect.startswith("Prefect's database behind http://u:***@far/api: its keeper runs")


def test_addresses_of_postgresql() -> None:
    assert is_postgres("postgresql+psycopg2://u:p@h/d")
    assert is_postgres("postgres://h/d")
    assert not is_postgres("sqlite:///a/b")
    assert not is_postgres("http://postgres/")
