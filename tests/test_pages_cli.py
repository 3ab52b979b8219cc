"""The command ``cxr ui``: what it refuses on one line, what it imports, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cli_world import Say

from tests.pages_world import (
    copied_house,
    open_room,
)
from tests.small_world import HOUSE, cxr_environment

HEAVY = {"torch", "transformers", "diffusers", "models"}


def test_bad_input_is_one_line(cxr: Say, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, expected in (
            (["--data-root", tmp_path / "nowhere"], "a data root"),
            (["--host", "0.0.0.0"], "a token file beyond this machine"),
            (["--token-file", tmp_path / "absent.toml"], "a token file"),
            (["--serving", "file:///etc/passwd"], "http://HOST:PORT"),
            (["--port", port], "a free port"),
        ):
            told = ["--data-root", tmp_path / "data", *arguments]
            said = cxr("ui", *told)
            assert said.code == 2, arguments
            line = said.err.strip().splitlines()[-1]
            assert line.startswith("error: found ") and expected in line, line
            assert "Traceback" not in said.err


@pytest.mark.slow
def test_it_answers_without_torch_and_ends_in_good_order(tmp_path: Path) -> None:
    house = copied_house(tmp_path)
    code = (
        "import sys, atexit, flows.cli\n"
        f"atexit.register(lambda: print(sorted({HEAVY!r} & set(sys.modules)), flush=True))\n"
        "flows.cli.main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "ui", "--port", "0", "--json", "--data-root", str(house.root)],
        cwd=HOUSE,
        env=cxr_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        for path in ("/", "/scores", f"/cases/{house.scores}/case?example=e0001"):
            with urllib.request.urlopen(url + path, timeout=120) as reply:
                assert reply.status == 200
    finally:
        process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert (out.strip(), process.returncode) == ("[]", 0)


def test_many_look_at_once_and_all_are_answered(tmp_path: Path) -> None:
    house = copied_house(tmp_path)
    base = f"/cases/{house.scores}"
    paths = [f"{base}?page={1 + n % 2}" for n in range(20)]
    paths += [f"{base}/film.png?example=e{n:04}" for n in range(30)]
    with open_room(house.root) as room, ThreadPoolExecutor(16) as hands:
        replies = list(hands.map(room.ask, paths))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies[20:]}) == 30


def test_a_data_root_that_goes_away_is_an_empty_one(tmp_path: Path) -> None:
    house = copied_house(tmp_path)
    with open_room(house.root) as room:
        assert room.ask(f"/cases/{house.scores}").status == 200
        house.root.rename(tmp_path / "elsewhere")
        for path in ("/runs", "/lineage"):
            assert room.ask(path).status == 200
        film = room.ask(f"/cases/{house.scores}/film.png?example=e0001")
        assert film.status in (404, 500) and b"Traceback" not in film.body


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all files")
def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    house = copied_house(tmp_path)
    place = house.root / house.made["scores"].folder
    place.chmod(0)
    try:
        with open_room(house.root) as room:
            assert room.ask("/lineage").status in (200, 409, 500)
    finally:
        place.chmod(0o755)
