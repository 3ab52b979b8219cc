"""A real Prometheus asks the endpoints: every panel's query has an answer, counters never fall, and
an alert fires on a failing flow."""

from __future__ import annotations

import json
import math
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import start_http_server

from infra.store import Store
from tasks.metrics.serve import metrics_endpoint
from tests.dashboards_world import ServingNumbers
from tests.facts_world import day, place, write_history, write_run
from tests.promql_reading import filled_in
from tests.test_alerts import RULES
from tests.test_dashboards import PANELS
from tests.test_facts_open_runs import started

pytestmark = pytest.mark.slow
YOUNG_SECONDS = 3.0
PATIENCE_SECONDS = 120.0


class Prometheus:
    """A running server."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ask(self, what: str, **asked: str) -> Any:
        url = f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=10) as reply:
            return json.load(reply)["data"]

    def numbers(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Series that have a number now."""
        found = self.ask("query", query=expression)["result"]
        numbers = [(one["metric"], float(one["value"][1])) for one in found]
        return [(labels, number) for labels, number in numbers if not math.isnan(number)]


def free_port() -> int:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for it; a loaded machine is given its time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not in {PATIENCE_SECONDS:.0f} s: {what}"
        time.sleep(0.5)


def configuration(folder: Path, ports: dict[str, int]) -> Path:
    """Scrapes every second; the rules wait for nothing, else a test would take minutes."""
    rules = re.sub(r"\n +for: \w+", "", RULES.read_text(encoding="utf-8"))
    (folder / "rules.yml").write_text(rules, encoding="utf-8")
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        for name, port in ports.items()
    ]
    told = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": jobs,
    }
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(told), encoding="utf-8")  # JSON is YAML
    return file


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("house")
    write_history(root, datetime.now(UTC))
    house = Store(str(root), root / ".state")
    started(house, "live")
    return house


@pytest.fixture(scope="module")
def serving() -> ServingNumbers:
    return ServingNumbers()


@pytest.fixture(scope="module")
def prometheus(
    store: Store, serving: ServingNumbers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A server whose endpoint of facts was restarted once, on the same port."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("unavailable: no prometheus; it is a package of the operating system")
    folder = tmp_path_factory.mktemp("prometheus")
    environment = place(Path(store.path("")), llm_budget_usd=5.0)
    with ExitStack() as stack:
        server, thread = start_http_server(0, "127.0.0.1", serving.registry)
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        told = (store, environment, "127.0.0.1")
        first = ExitStack()
        port = first.enter_context(metrics_endpoint(*told, 0, YOUNG_SECONDS))
        file = configuration(folder, {"cxrflow": port, "cxrflow-serve": server.server_port})
        own = free_port()
        listen = [f"--web.listen-address=127.0.0.1:{own}", f"--storage.tsdb.path={folder / 'data'}"]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [program, f"--config.file={file}", *listen], stdout=log, stderr=log
            )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        found = Prometheus(own)
        until(lambda: _answers(found), "Prometheus has scraped the endpoint")
        first.close()
        stack.enter_context(metrics_endpoint(*told, port, YOUNG_SECONDS))
        until(lambda: bool(found.numbers("up{job='cxrflow'} == 1")), "the endpoint is back")
        _live_on(store, serving, found)
        yield found


def _answers(prometheus: Prometheus) -> bool:
    try:
        return bool(prometheus.numbers("cxr_facts_runs"))
    except OSError:
        return False


def _live_on(store: Store, serving: ServingNumbers, prometheus: Prometheus) -> None:
    """A day of the house in seconds: a run fails, the next is late, requests come in."""
    ended = datetime.now(UTC)
    write_run(store, "fails", ended - timedelta(minutes=3), {}, state="failed")
    late = {"trigger": "schedule", "late_seconds": 90.0}
    write_run(store, "mends", ended, day(9, 0.5, "openi"), **late)
    write_run(store, "again", ended, day(9, 0.06), **late)
    seen = 'cxr_llm_requests_total{source="mimic_cxr", outcome="kept"} > 700'

    def has_come() -> bool:
        serving.answer()
        grown = 'increase(cxr_source_handled_rows_total{source="openi"}[1h]) > 0'
        return bool(prometheus.numbers(seen)) and bool(prometheus.numbers(grown))

    until(has_come, "new facts are scraped, and new counters have come of age")
    for _ in range(6):
        serving.answer()
        time.sleep(1)


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_every_panels_queries_have_an_answer(
    board: str, panel: dict[str, Any], prometheus: Prometheus
) -> None:
    del board
    for target in panel["targets"]:
        expression = filled_in(target["expr"], "1m")
        found = prometheus.numbers(expression)
        assert found, expression
        if panel["type"] == "table":
            assert all("__name__" not in labels for labels, _ in found), expression
            assert all("instance" not in labels for labels, _ in found), expression


def test_counters_went_on_over_the_restart(prometheus: Prometheus) -> None:
    names = prometheus.ask("label/__name__/values")
    counters = [name for name in names if re.fullmatch(r"cxr_(?!serve).*_(total|count)", name)]
    assert len(counters) > 10
    for name in counters:
        assert prometheus.numbers(f"{name} >= 0")
        assert not prometheus.numbers(f"resets({name}[10m]) > 0"), name


def test_a_new_sources_first_numbers_are_seen_as_growth(prometheus: Prometheus) -> None:
    grown = 'sum(increase(cxr_source_handled_rows_total{source="openi", unit="images"}[10m]))'
    [(_, number)] = prometheus.numbers(grown)
    assert number == pytest.approx(1000, rel=0.3)  # Prometheus extrapolates


def test_a_failing_flow_fires_and_its_mending_ends_it(store: Store, prometheus: Prometheus) -> None:
    def firing() -> set[str]:
        alerts = prometheus.ask("alerts")["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    broken = {"state": "failed", "flow": "ingest", "trigger": "schedule"}
    write_run(store, "breaks", datetime.now(UTC), {}, **broken)
    until(lambda: "CxrFlowFailing" in firing(), "a failed run fires")
    write_run(store, "heals", datetime.now(UTC) + timedelta(seconds=1), {}, flow="ingest")
    until(lambda: "CxrFlowFailing" not in firing(), "a good run ends it")
