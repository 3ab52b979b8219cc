"""Alert rules: each fires on planted data, stays silent on good data, and leads to a runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from infra.fingerprint import HOUSE
from tests.dashboards_world import Series, all_series
from tests.promql_reading import read_query

FOLDER = HOUSE / "infra" / "deploy" / "prometheus"
RULES = FOLDER / "rules" / "cxrflow.yml"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
FLOW = 'flow="ingest", recipe="llava_rad", scale="paper"'
WORK = 'source="mimic_cxr", task="structure", model="gpt-4"'
SCHEDULED = f"cxr_flow_usual_interval_seconds{{{FLOW}}}"
DEPLOYED, BY_HAND = (
    f'cxr_flow_runs_total{{{FLOW}, state="completed", trigger="{trigger}"}}'
    for trigger in ("schedule", "command")
)
CHAMPION = 'model="m", ability="a", metric="F1", part="", better="higher"'
ERRORS = 'model="m", ability="a", metric="errors", part="", better="lower"'
DAY = 24 * 60


class Case(NamedTuple):
    """Series with their values each minute, as promtool writes them, and when to look."""

    fires: dict[str, str]
    silent: dict[str, str]
    minutes: int = 30

    @property
    def step(self) -> str:
        """Between samples: over days fewer will do."""
        return "1h" if self.minutes >= DAY else "1m"


def always(value: float) -> str:
    return f"{value}x240"


CASES = {
    "CxrFlowFailing": Case(
        {f"cxr_flow_failing{{{FLOW}}}": "1x60", DEPLOYED: "3x60"},
        {f"cxr_flow_failing{{{FLOW}}}": "1x60", BY_HAND: "3x60"},
    ),
    "CxrFlowOftenFails": Case(
        {
            f'cxr_flow_runs_recent{{{FLOW}, state="completed"}}': "7x60",
            f'cxr_flow_runs_recent{{{FLOW}, state="killed"}}': "2x60",
        },
        {
            f'cxr_flow_runs_recent{{{FLOW}, state="completed"}}': "3x60",
            f'cxr_flow_runs_recent{{{FLOW}, state="failed"}}': "1x60",
            f'cxr_flow_runs_recent{{{FLOW}, state="cancelled"}}': "9x60",
        },
    ),
    "CxrFlowLate": Case(
        {f"cxr_flow_last_late_seconds{{{FLOW}}}": "901x60"},
        {f"cxr_flow_last_late_seconds{{{FLOW}}}": "899x60"},
    ),
    "CxrFlowMissing": Case(
        {f"cxr_flow_last_end_timestamp_seconds{{{FLOW}}}": always(0), SCHEDULED: always(3600)},
        {
            f"cxr_flow_last_end_timestamp_seconds{{{FLOW}}}": always(0),
            f"cxr_flow_running{{{FLOW}}}": always(1),
            SCHEDULED: always(3600),
        },
        minutes=180,
    ),
    "CxrSourceUnchecked": Case(
        {'cxr_source_checked_timestamp_seconds{source="openi"}': always(0), SCHEDULED: always(1)},
        {'cxr_source_checked_timestamp_seconds{source="openi"}': always(0)},
        minutes=3 * DAY,
    ),
    "CxrSourceSilent": Case(
        {
            'cxr_source_changed_timestamp_seconds{source="openi"}': always(-20 * 86400),
            SCHEDULED: always(1),
        },
        {
            'cxr_source_changed_timestamp_seconds{source="openi"}': always(0),
            SCHEDULED: always(1),
        },
        minutes=3 * DAY,
    ),
    "CxrRejectShareJump": Case(
        {
            'cxr_source_reject_share{source="openi", step="images"}': "0.05x9 0.3x60",
            'cxr_source_usual_reject_share{source="openi", step="images"}': "0.05x70",
        },
        {
            'cxr_source_reject_share{source="openi", step="images"}': "0.4x60",
            'cxr_source_usual_reject_share{source="openi", step="images"}': "0.35x60",
        },
    ),
    "CxrLanguageModelRateLimited": Case(
        {
            f"cxr_llm_rate_limited_total{{{WORK}}}": "0+1x120",
            f'cxr_llm_requests_total{{{WORK}, outcome="kept"}}': "0+10x120",
            f"cxr_llm_retried_total{{{WORK}}}": "0+1x120",
        },
        {
            f"cxr_llm_rate_limited_total{{{WORK}}}": "9000+0x120",
            f'cxr_llm_requests_total{{{WORK}, outcome="kept"}}': "0+10x120",
            f"cxr_llm_retried_total{{{WORK}}}": "9000+0x120",
        },
        minutes=90,
    ),
    "CxrLanguageModelInvalid": Case(
        {
            f'cxr_llm_requests_total{{{WORK}, outcome="failed"}}': "0+1x120",
            f'cxr_llm_requests_total{{{WORK}, outcome="kept"}}': "0+9x120",
        },
        {
            f'cxr_llm_requests_total{{{WORK}, outcome="failed"}}': "0 3x120",
            f'cxr_llm_requests_total{{{WORK}, outcome="kept"}}': "0 9x120",
        },
        minutes=90,
    ),
    "CxrBudgetNearlySpent": Case(
        {"cxr_llm_spent_usd": "91x60", "cxr_llm_budget_usd": "100x60"},
        {"cxr_llm_spent_usd": "91x60"},
    ),
    "CxrStageBelowBar": Case(
        {'cxr_stage_bar_missed{recipe="r", scale="paper", stage="finetune"}': "1x60"},
        {'cxr_stage_bar_missed{recipe="r", scale="paper", stage="finetune"}': "0x60"},
    ),
    "CxrChampionWorse": Case(
        {
            f'cxr_model_score_high{{{CHAMPION}, alias="champion"}}': "0.5x60",
            f'cxr_model_score_low{{{CHAMPION}, alias="previous"}}': "0.51x60",
            f'cxr_model_score_low{{{ERRORS}, alias="champion"}}': "2x60",
            f'cxr_model_score_high{{{ERRORS}, alias="previous"}}': "1.9x60",
        },
        {
            f'cxr_model_score_high{{{CHAMPION}, alias="champion"}}': "0.6x60",
            f'cxr_model_score_low{{{CHAMPION}, alias="previous"}}': "0.51x60",
            f'cxr_model_score_low{{{ERRORS}, alias="champion"}}': "1x60",
            f'cxr_model_score_high{{{ERRORS}, alias="previous"}}': "1.9x60",
        },
    ),
    "CxrModelDrift": Case(
        {'cxr_model_drift_quantities{model="m", source="openi"}': "0x5 3x60"},
        {'cxr_model_drift_quantities{model="m", source="openi"}': "0x60"},
    ),
    "CxrLooksUsedUp": Case(
        {'cxr_model_look_level{model="m"}': "0x60"},
        {'cxr_model_look_level{model="m"}': "0.00013x60"},
    ),
    "CxrRegistrySilent": Case(
        {"cxr_registry_answers": "0x60"}, {"cxr_registry_answers": "0x5 1x60"}
    ),
    "CxrDiskNearlyFull": Case(
        {'cxr_disk_free_bytes{place="data"}': "9e10x60", 'cxr_disk_size_bytes{place="data"}':
         "1e12x60"},
        {'cxr_disk_free_bytes{place="data"}': "2e11x60", 'cxr_disk_size_bytes{place="data"}':
         "1e12x60"},
    ),
    "CxrFactsUnreadable": Case(
        {"cxr_facts_unreadable_files": "1x60"}, {"cxr_facts_unreadable_files": "0x60"}
    ),
    "CxrNumbersMissing": Case({}, {"cxr_build_info": "1x60"}),
    "CxrServeErrors": Case(
        {
            'cxr_serve_requests_total{route="/v1/findings", status="200"}': "0+60x60",
            'cxr_serve_requests_total{route="/v1/findings", status="503"}': "0+2x60",
        },
        {
            'cxr_serve_requests_total{route="/v1/findings", status="200"}': "0+60x60",
            'cxr_serve_requests_total{route="/v1/findings", status="400"}': "0+20x60",
        },
    ),
    "CxrServeOverloaded": Case(
        {
            'cxr_serve_requests_total{route="/v1/findings", status="200"}': "0+60x60",
            'cxr_serve_requests_total{route="/v1/findings", status="429"}': "0+9x60",
        },
        {
            'cxr_serve_requests_total{route="/v1/findings", status="200"}': "0+60x60",
            'cxr_serve_requests_total{route="/v1/findings", status="429"}': "0+1x60",
        },
    ),
    "CxrServeNotReady": Case(
        {'cxr_serve_ready{part="findings"}': "0x60"},
        {'cxr_serve_ready{part="findings"}': "0x3 1x60"},
    ),
    "CxrServeStale": Case(
        {'cxr_serve_trouble{part="findings"}': "1x60"},
        {'cxr_serve_trouble{part="findings"}': "0x60"},
    ),
}  # fmt: skip


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("unavailable: no promtool; it comes with the system's package prometheus")
    return found


def said_of(asked: dict[str, list[dict[str, Any]]], folder: Path, *, planted: bool) -> str:
    """What promtool says when it is asked for these alerts, each on data of its own."""
    tests = []
    for alert, wanted in asked.items():
        case = CASES[alert]
        series = case.fires if planted else case.silent
        look = {"eval_time": f"{case.minutes}m", "alertname": alert, "exp_alerts": wanted}
        told = [{"series": name, "values": values} for name, values in series.items()]
        tests.append({"interval": case.step, "input_series": told, "alert_rule_test": [look]})
    parts = []
    for step in ("1m", "1h"):
        chosen = [test for test in tests if test["interval"] == step]
        file = folder / f"{step}.yml"
        rules = {"rule_files": [str(RULES)], "evaluation_interval": step, "tests": chosen}
        file.write_text(yaml.safe_dump(rules), encoding="utf-8")
        done = subprocess.run(
            [promtool(), "test", "rules", str(file)], capture_output=True, text=True, check=False
        )
        parts.append(done.stdout + done.stderr if done.returncode else "")
    return "".join(parts)


@pytest.fixture(scope="module")
def fired(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What fires on planted data, by alert: promtool tells it when it is asked for another."""
    another = [{"exp_labels": {"alertname": "none"}}]
    folder = tmp_path_factory.mktemp("promtool")
    said = said_of(dict.fromkeys(CASES, another), folder, planted=True)
    parts = re.split(r"alertname: ?(Cxr\w+), time:", said)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_alert_has_its_case() -> None:
    assert set(CASES) == set(ALERTS)


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires_on_planted_data_with_its_labels_and_line(
    alert: str, fired: dict[str, str]
) -> None:
    got = fired[alert].partition("got:[")[2]
    assert f'alertname="{alert}"' in got, fired[alert]
    assert f'severity="{ALERTS[alert]["labels"]["severity"]}"' in got
    assert f"monitoring.md#{alert.lower()}" in got
    summary = re.search(r'summary="([^"]*)"', got)
    assert summary is not None
    assert "<" not in summary[1], "a label that is not there, or a template that fails"


def test_alerts_are_silent_on_good_data(tmp_path: Path) -> None:
    assert said_of({alert: [] for alert in CASES}, tmp_path, planted=False) == ""


def test_both_ways_of_being_worse_fire(fired: dict[str, str]) -> None:
    got = fired["CxrChampionWorse"].partition("got:[")[2]
    assert 'metric="F1"' in got
    assert 'metric="errors"' in got


def test_prometheus_takes_its_configuration() -> None:
    done = subprocess.run(
        [promtool(), "check", "config", str(FOLDER / "prometheus.yml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def runbook_anchors() -> set[str]:
    text = (HOUSE / "docs" / "monitoring.md").read_text(encoding="utf-8")
    return {line.removeprefix("### ").lower() for line in text.splitlines() if line[:4] == "### "}


def test_every_alert_leads_to_its_page_and_every_page_to_an_alert() -> None:
    lines = {rule["annotations"]["runbook"] for rule in ALERTS.values()}
    assert lines == {f"docs/monitoring.md#{anchor}" for anchor in runbook_anchors()}
    assert {alert.lower() for alert in ALERTS} == runbook_anchors()


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    return all_series(tmp_path_factory.mktemp("alerts"))


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_asks_for_series_that_are_told(alert: str, series: Series) -> None:
    """A slip of the pen in a name would make an alert that can never fire."""
    asked = read_query(ALERTS[alert]["expr"])
    for selector in asked.selectors:
        assert selector.name in series, selector
        for label, how, _ in selector.matchers:
            assert any(label in labels for labels in series[selector.name]), (label, selector)
            chosen = any(selector.fits(labels) for labels in series[selector.name])
            assert chosen or "better" in str(selector) or how != "=", selector
    labels = {label for one in asked.selectors for own in series[one.name] for label in own}
    assert asked.labels <= labels
    named = set(re.findall(r"\$labels\.(\w+)", ALERTS[alert]["annotations"]["summary"]))
    assert named <= labels
