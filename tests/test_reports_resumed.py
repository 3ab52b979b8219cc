"""500 reports in eight pieces: one is edited, a run is killed at half; nothing is paid twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from llm_faults_world import audit_lines, stored_statuses
from raw_world import copy_raw, edit_report, look
from small_world import payload_digests

from infra.artifact import Artifact
from infra.llm import Endpoint
from sources.catalog import get_source
from sources.piece import piece_key, piece_number
from sources.replicas.truth import ReplicaSpec
from tasks.context import Context
from tasks.ingest.studies import ingest_studies
from tasks.reports.connection import Teacher
from tasks.reports.offline_server import Faults, offline_server, server_stats
from tasks.reports.work import REPORTS_FILE, write_reports

pytestmark = pytest.mark.slow

STUDIES, PIECES, LEAST_ROWS = 600, 8, 500
"""Some studies of the replica have no report to send; more than the least must be left."""
CONCURRENCY = 8
ROUTES = 'sources.routes={mimic_cxr=["structure"]}'


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("resumed") / "raw"
    root.mkdir()
    write = get_source("mimic_cxr").write_replica
    assert write is not None
    write(root, ReplicaSpec(STUDIES, 5, 32))
    return root


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """A server for this test alone, slow enough that a run can be met in the middle."""
    with offline_server(Faults(latency_s=0.05)) as found:
        monkeypatch.setenv("CXR_LLM_BASE_URL", found.base_url)
        monkeypatch.setenv("CXR_LLM_CONCURRENCY", str(CONCURRENCY))
        yield found


def prepare(data: Path, raw: Path) -> Context:
    context = look(data, {"mimic_cxr": raw}, ROUTES, f"sources.pieces={PIECES}")
    ingest_studies(context, "mimic_cxr")
    return context


def write(data: Path, raw: Path) -> Artifact:
    context = prepare(data, raw)
    with Teacher(context.environment) as teacher:
        return write_reports(context, "mimic_cxr", teacher)


def report_digests(data: Path) -> dict[str, str]:
    return {name: each for name, each in payload_digests(data).items() if "reports/" in name}


def test_one_edited_row_of_500_asks_once_and_rewrites_one_of_eight_pieces(
    raw: Path, tmp_path: Path, endpoint: Endpoint
) -> None:
    own, data = copy_raw(raw, tmp_path / "raw"), tmp_path / "data"
    first = write(data, own)
    before, asked = report_digests(data), server_stats(endpoint)["requests"]
    assert asked >= LEAST_ROWS and len(first.pieces) == PIECES
    study = edit_report(own)
    second = write(data, own)
    assert server_stats(endpoint)["requests"] == asked + 1
    assert second.built == (piece_key(piece_number(study, PIECES)),)
    after = {name: each for name, each in report_digests(data).items() if name not in before}
    assert len(after) == len(before)
    old = {name.split("/", 2)[2]: each for name, each in before.items()}
    changed = {
        name.split("/", 2)[2] for name, each in after.items() if old[name.split("/", 2)[2]] != each
    }
    assert changed == {f"{second.built[0]}/{REPORTS_FILE}"}
    edited = [
        row
        for path in second.files(REPORTS_FILE)
        for row in pq.read_table(path).to_pylist()
        if row["study_id"] == study
    ]
    assert any("trachea is midline" in str(row) for row in edited)


_RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_reports_resumed import write
write(Path(sys.argv[2]), Path(sys.argv[3]))
"""


def kill_at_half(data: Path, raw: Path, endpoint: Endpoint, rows: int) -> None:
    """A run in a process of its own, killed when the server has answered half of its requests."""
    command = [sys.executable, "-c", _RUN, str(Path(__file__).parent), str(data), str(raw)]
    run = subprocess.Popen(command)
    begun = server_stats(endpoint)["answered"]
    while server_stats(endpoint)["answered"] - begun < rows // 2:
        assert run.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL


def test_a_run_killed_at_half_sends_no_finished_request_again(
    raw: Path, tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm, data = tmp_path / "calm", tmp_path / "data"
    with offline_server() as other:
        monkeypatch.setenv("CXR_LLM_BASE_URL", other.base_url)
        write(calm, raw)
        rows = server_stats(other)["requests"]
    assert rows >= LEAST_ROWS
    monkeypatch.setenv("CXR_LLM_BASE_URL", endpoint.base_url)
    kill_at_half(data, raw, endpoint, rows)
    time.sleep(1.0)  # what was in flight is answered to nobody
    at_kill, finished = server_stats(endpoint), stored_statuses(data / ".state").total()
    assert rows // 2 - CONCURRENCY <= finished < rows
    write(data, raw)
    stats = server_stats(endpoint)
    assert stats["requests"] - at_kill["requests"] == rows - finished
    assert stats["repeated"] == at_kill["answered"] - finished <= CONCURRENCY
    assert stored_statuses(data / ".state") == Counter(ok=rows)
    lines = audit_lines(data / ".state")
    sent = Counter(line["request"] for line in lines if line["event"] == "sent")
    assert len(sent) == rows and sent.total() - rows <= CONCURRENCY
    assert report_digests(data) == report_digests(calm)
    assert len(report_digests(calm)) >= 2 * PIECES
