"""The whole ``cxr ingest`` on bad input, as a user runs it: exit codes, one line, nothing leaked.

Starting Prefect takes 10 to 20 s of each run, hence the marker. Bad rows of several sources go
through one run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.damage.image_files import PAGE
from tests.damage.kinds import AGAIN
from tests.damage.test_images import SMALL
from tests.damage.test_rows import hospital
from tests.damage.test_tables import WEB_PAGE
from tests.damage.worlds import TABLES, Trees, put_openi_reports, put_rows, read_rows, xml_report
from tests.small_world import cxr

SECRET = "Jane Doe"
SETS = [word for setting in SMALL for word in ("--set", setting)]


def ingest(data_root: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    done = cxr("ingest", "--data-root", str(data_root), *SETS, *options, **variables)
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr + done.stdout
    return done


def errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines that are no notes: notes start with the time of day and a level's letter."""
    lines = done.stderr.splitlines()
    return [line for line in lines if not (line[2:3] == ":" and line[8:11] in (" I ", " W "))]


QUICK: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
    "unknown source": (("--source", "foo=/tmp"), {}, "found source 'foo'; expected one of "),
    "no path": (("--source", "chexpert"), {}, "found --source chexpert; expected "),
    "no folder": (("--source", "brax=/no/such"), {}, "found no folder at /no/such; expected "),
    "wrong setting": (
        ("--replicas", "--set", "images.nope=1"), {}, "found 1 at 'images.nope' of ",
    ),
    "wrong variable": (("--replicas",), {"CXR_WORKERS": "many"}, "found a bad value in CXR_WORK"),
    "misspelt variable": (
        ("--replicas",), {"CXR_DATAROOT": "/x"}, "found the variable CXR_DATAROOT; expected ",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_what_is_wrong_from_the_start(name: str, tmp_path: Path) -> None:
    options, variables, start = QUICK[name]
    done = ingest(tmp_path / "data", *options, **variables)
    assert done.returncode == 2
    [line] = errors(done)
    assert line.startswith(f"error: {start}")
    assert not (tmp_path / "data").exists(), "nothing was written"


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


REFUSED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a cut packed table": (
        "mimic_cxr", _cut, f"found broken gzip data in {{path}} (EOFError); expected a whole gzip "
        f"file; {AGAIN}",
    ),
    "a web page for a table": (
        "chexpert", lambda path: path.write_bytes(WEB_PAGE),
        "found a web page in {path}; expected a table; log in to the publisher's site and "
        "download again",
    ),
    "a pipe for a table": (
        "vindr_cxr", lambda path: (path.unlink(), os.mkfifo(path)),
        "found a pipe or device at {path}; expected the publisher's file; put the file in its "
        "place",
    ),
    "a broken zip": (
        "object_cxr", lambda path: _cut(path.parent / "train.zip"),
        "found a broken zip at {folder}/train.zip (BadZipFile); expected a whole zip file; "
        "download the file again and compare its size with the publisher's",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_a_source_that_cannot_be_read(name: str, trees: Trees, tmp_path: Path) -> None:
    source, spoil, line = REFUSED[name]
    root = trees.fresh(source, tmp_path)
    path = root / TABLES[source]
    spoil(path)
    done = ingest(tmp_path / "data", "--source", f"{source}={root}")
    assert done.returncode == 2
    assert errors(done) == [f"error: {line.format(path=path, folder=path.parent)}"]


@pytest.mark.slow
def test_bad_rows_of_four_sources_are_counted(trees: Trees, tmp_path: Path) -> None:
    """Exit code 0: what is bad is rejected and counted, the rest is there; a second run agrees."""
    own = hospital(tmp_path / "own")
    shutil.copy(trees.sound("nih_cxr14") / "images" / "00000001_000.png", own / "images/0.png")
    rows = read_rows(own / "manifest.csv")
    rows[2][rows[0].index("Edema")] = f"{SECRET} has edema"
    put_rows(own / "manifest.csv", rows)
    (own / "images/3.png").write_bytes(PAGE)
    openi = trees.fresh("openi", tmp_path)
    page = b"<html><body>Jane Doe<br></body></html>"
    put_openi_reports(openi, [xml_report(2), xml_report(3), page])
    nih = trees.fresh("nih_cxr14", tmp_path)
    (nih / "images" / "00000002_000.png").unlink()
    sources = [f"manifest={own}", f"openi={openi}", f"nih_cxr14={nih}"]
    options = [word for source in sources for word in ("--source", source)]
    done = ingest(tmp_path / "data", *options, "--json")
    assert (done.returncode, errors(done)) == (0, [])
    steps = {step["key"]: step for step in json.loads(done.stdout)["steps"]}
    counts = {
        key: {unit: (rows_in, kept) for unit, rows_in, kept in step["counts"]}
        for key, step in steps.items()
    }
    assert counts["studies/manifest"] == {"studies": (5, 4), "images listed": (5, 4)}
    assert counts["images/manifest"] == {"images": (4, 1)}
    assert counts["studies/openi"] == {"studies": (3, 2), "images listed": (2, 2)}
    assert counts["studies/nih_cxr14"] == {"studies": (4, 3), "images listed": (4, 3)}
    assert counts["images/nih_cxr14"] == {"images": (3, 3)}
    again = ingest(tmp_path / "data", *options, "--json")
    steps = json.loads(again.stdout)["steps"]
    assert [step["built"] for step in steps] == [0] * len(steps)


@pytest.mark.slow
def test_a_data_root_on_a_full_disk(trees: Trees, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=100k none {disk}"
    probe = subprocess.run(["unshare", "-rm", "sh", "-c", mount], check=False)
    if probe.returncode:
        pytest.skip("needs a user namespace in which a disk can be mounted")
    root = trees.sound("chexpert")
    command = (
        f'{mount} && CXR_STATE_DIR={tmp_path}/state exec "$0" -c "from flows.cli import main; '
        f"main(['ingest', '--data-root', '{disk}/data', '--source', 'chexpert={root}'])\""
    )
    from sys import executable

    from tests.small_world import HOUSE, cxr_environment

    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command, executable],
        capture_output=True, text=True, cwd=HOUSE, env=cxr_environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr[-2000:]
    [line] = errors(done)
    assert line.startswith(f"error: found no space left at {disk}/data")
    assert "Traceback" not in done.stderr
