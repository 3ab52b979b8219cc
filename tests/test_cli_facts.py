"""``cxr facts`` and ``cxr metrics``: what they print, what they refuse, and that they end."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_world import Say

from infra.facts.contract import KINDS
from tests.facts_world import write_history, write_run
from tests.small_world import HOUSE, cxr_environment


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "data"
    write_history(folder, datetime.now(UTC))
    return folder


def test_runs_are_a_table_without_empty_columns(cxr: Say, root: Path) -> None:
    said = cxr("facts", "--data-root", root)
    head, names, *lines = said.out.splitlines()
    assert (said.code, head, len(lines)) == (0, "runs: 8 rows", 8)
    assert "late_seconds" in names
    assert "expected_at" not in names
    assert sum(" killed " in line for line in lines) == 1
    assert all(line == line.rstrip() for line in lines)


def test_kinds_and_times_are_chosen(cxr: Say, root: Path) -> None:
    said = cxr("facts", "--data-root", root, "--kind", "llm", "--kind", "stages", "--since", "36h")
    assert re.findall(r"^(\w+): (\d+) rows$", said.out, re.MULTILINE) == [
        ("llm", "2"),
        ("stages", "2"),
    ]
    day = (datetime.now(UTC) - timedelta(days=2)).date()
    assert "llm: " in cxr("facts", "--data-root", root, "--kind", "llm", "--since", day).out


def test_json_holds_every_table(cxr: Say, root: Path) -> None:
    told = json.loads(cxr("facts", "--data-root", root, "--json").out)
    assert told["version"] == 1
    assert tuple(told["kinds"]) == KINDS
    assert len(told["kinds"]["runs"]) == 8
    assert all(told["kinds"][kind] for kind in KINDS)
    fewer = json.loads(cxr("facts", "--data-root", root, "--json", "--kind", "aliases").out)
    assert tuple(fewer["kinds"]) == ("aliases",)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--kind", "flows"],
            f"error: found facts of 'flows'; expected one of {', '.join(KINDS)}; correct --kind\n",
        ),
        (
            ["--since", "yesterday"],
            "error: found the time 'yesterday'; expected 7d, 36h, 2026-11-29 or "
            "2026-11-29T15:00; correct --since\n",
        ),
    ],
)
def test_bad_input_is_one_line(cxr: Say, root: Path, arguments: list[str], line: str) -> None:
    said = cxr("facts", "--data-root", root, *arguments)
    assert (said.code, said.out, said.err) == (2, "", line)


def test_no_data_root_is_one_line_and_none_is_made(cxr: Say, tmp_path: Path) -> None:
    said = cxr("facts", "--data-root", tmp_path / "none")
    assert said.code == 2
    assert said.err.startswith(f"error: found nothing at {tmp_path}/none; expected a data root")
    assert not (tmp_path / "none").exists()


def test_a_root_without_runs_says_so(cxr: Say, tmp_path: Path) -> None:
    assert cxr("facts", "--data-root", tmp_path).out == "runs: 0 rows\n"


def test_a_damaged_file_is_named(cxr: Say, tmp_path: Path) -> None:
    store = write_history(tmp_path, datetime.now(UTC))
    write_run(store, "x", datetime.now(UTC), {})
    sorted(tmp_path.glob("facts/v1/runs/*/*.parquet"))[0].write_bytes(b"PAR1")
    said = cxr("facts", "--data-root", tmp_path)
    assert said.code == 1
    assert "damaged; expected facts of version 1; move it away" in said.err


def test_numbers_are_printed_once(cxr: Say, root: Path) -> None:
    said = cxr("metrics", "--data-root", root, "--once")
    assert said.code == 0
    assert "\ncxr_facts_runs 8.0\n" in said.out


def test_the_endpoint_answers_until_it_is_told_to_end(root: Path) -> None:
    code = "from flows.cli import main; main()"
    command = [sys.executable, "-W", "ignore", "-c", code, "metrics", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--data-root", str(root)],
        stdout=subprocess.PIPE, text=True, cwd=HOUSE, env=cxr_environment(),
    )  # fmt: skip
    assert process.stdout is not None
    said = process.stdout.readline()
    [url] = re.findall(r"http://\S+", said)
    with urllib.request.urlopen(url) as reply:
        assert b"cxr_facts_runs 8.0" in reply.read()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    process.stdout.close()
