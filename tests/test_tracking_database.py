"""MLflow's embedded database: whole or absent, whoever is killed, however many start."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from infra.errors import InputError
from infra.tracking_database import make_database, require_database
from tests.small_world import HOUSE, cxr_environment

MAKE = "import sys; from infra.tracking_database import make_database; make_database(sys.argv[1])"
USE = (
    "import sys; from infra.tracking_runs import RunBook;"
    "print(RunBook(sys.argv[1], 'llava_rad').experiment_id)"
)


def start(code: str, place: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, f"sqlite:///{place}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=HOUSE,
        env=cxr_environment(),
    )


def tables(place: Path) -> set[str]:
    with closing(sqlite3.connect(place)) as database:
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in rows}


@pytest.mark.slow
def test_a_killed_process_leaves_no_half_database(tmp_path: Path) -> None:
    """Killed once the first tables are there; the next one begins anew and tidies up."""
    place = tmp_path / "mlflow.db"
    run = start(MAKE, place)
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size for path in tmp_path.glob(".mlflow.db-*")):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    run.kill()
    run.communicate()
    assert not place.exists()
    after = start(USE, place)
    output, errors = after.communicate()
    assert after.returncode == 0, errors[-2000:]
    assert output.split()[-1].isdigit()
    assert {"experiments", "runs", "model_versions", "alembic_version"} <= tables(place)
    assert {path.name for path in tmp_path.iterdir()} <= {"mlflow.db", "mlflow.db.lock"}


@pytest.mark.slow
def test_two_that_start_together_share_one_database(tmp_path: Path) -> None:
    place = tmp_path / "mlflow.db"
    runs = [start(USE, place), start(USE, place)]
    answers = [(run.communicate(), run.returncode) for run in runs]
    for (_, errors), code in answers:
        assert code == 0, errors[-2000:]
    assert len({output for (output, _), _ in answers}) == 1, "one experiment for both"


def test_a_server_makes_its_own(tmp_path: Path) -> None:
    make_database("http://127.0.0.1:9")


def test_one_that_is_there_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "mlflow.db"
    place.write_bytes(b"whatever")
    make_database(f"sqlite:///{place}")
    assert place.read_bytes() == b"whatever"


def test_a_file_in_its_folders_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow").write_text("in the way")
    with pytest.raises(InputError, match=r"found a file in the way at .*mlflow"):
        make_database(f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}")


def test_who_only_looks_makes_none(tmp_path: Path) -> None:
    place = tmp_path / "mlflow" / "mlflow.db"
    with pytest.raises(InputError, match="no registry at sqlite:"):
        require_database(f"sqlite:///{place}")
    assert not place.parent.exists()
    require_database("http://registry.example")
    place.parent.mkdir()
    place.touch()
    require_database(f"sqlite:///{place}")
