"""Prometheus' numbers: counted from facts, monotone, bounded, and without a name of anybody."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from infra.errors import InputError
from infra.facts.contract import FactRows
from infra.facts.files import fact_files
from infra.facts.open_runs import HEAD, OPEN, beat, note, settle
from infra.llm.ledger import COST, NANO, SENT, Ledger, Work
from infra.record_file import SEAL, sealed
from tasks.metrics.house import Births, House
from tasks.metrics.reading import FactReader
from tasks.metrics.serve import metrics_endpoint, metrics_text
from tasks.metrics.tally import Tally
from tests.facts_world import (
    CANARY,
    day,
    house,
    llm_row,
    place,
    row,
    score_row,
    write_alias,
    write_history,
    write_run,
)
from tests.test_facts_open_runs import started, step

Labels = frozenset[tuple[str, str]]
FAILED = {"state": "failed", "trigger": "command"}
KILLED = {"state": "killed", "trigger": "command"}
FLOW = {"flow": "pipeline", "recipe": "llava_rad", "scale": "tiny"}


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def samples(text: str) -> dict[tuple[str, Labels], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float:
    """The one sample of that name with these labels among its own."""
    found = [
        number
        for (each, own), number in samples(text).items()
        if each == name and labels.items() <= dict(own).items()
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def told(root: Path, **fields: Any) -> str:
    return metrics_text(house(root), place(root, **fields))


def test_flows_are_counted_by_their_ends(tmp_path: Path, now: datetime) -> None:
    write_history(tmp_path, now)
    text = told(tmp_path)
    ends = {"state": "completed", "trigger": "schedule"}
    assert value(text, "cxr_flow_runs_total", **FLOW, **ends) == 7
    assert value(text, "cxr_flow_runs_total", **FLOW, state="killed", trigger="command") == 1
    assert value(text, "cxr_flow_runs_total", **FLOW, state="failed", trigger="schedule") == 0
    assert value(text, "cxr_flow_runs_recent", **FLOW, state="completed") == 7
    assert value(text, "cxr_flow_failing", **FLOW) == 0
    assert value(text, "cxr_flow_duration_seconds_bucket", **FLOW, le="300.0") == 7
    assert value(text, "cxr_flow_duration_seconds_bucket", **FLOW, le="60.0") == 0
    assert value(text, "cxr_flow_duration_seconds_sum", **FLOW) == 700
    assert value(text, "cxr_flow_late_seconds_count", **FLOW) == 7
    assert value(text, "cxr_flow_last_late_seconds", **FLOW) == 36
    assert value(text, "cxr_flow_recovery_seconds_sum", **FLOW) == 2 * 3600
    assert value(text, "cxr_flow_usual_interval_seconds", **FLOW) == 24 * 3600
    success = value(text, "cxr_flow_last_success_timestamp_seconds", **FLOW)
    assert success == pytest.approx((now - timedelta(hours=1)).timestamp())


def test_a_flow_fails_until_its_next_good_run(tmp_path: Path, now: datetime) -> None:
    store = house(tmp_path)
    for number, state in enumerate(("completed", "killed", "failed", "cancelled")):
        write_run(store, f"run{number}", now - timedelta(hours=9 - number), {}, state=state)
        failing = state in ("killed", "failed")
        assert value(told(tmp_path), "cxr_flow_failing", **FLOW) == failing
    write_run(store, "good", now, {})
    text = told(tmp_path)
    assert value(text, "cxr_flow_failing", **FLOW) == 0
    assert value(text, "cxr_flow_recovery_seconds_count", **FLOW) == 1
    assert value(text, "cxr_flow_recovery_seconds_sum", **FLOW) == 8 * 3600


def test_sources_show_their_newest_rows_and_what_is_usual(tmp_path: Path, now: datetime) -> None:
    store = house(tmp_path)
    for number, share in enumerate((0.05, 0.07, 0.05, 0.4)):
        write_run(store, f"run{number}", now - timedelta(days=4 - number), day(number, share))
    text = told(tmp_path)
    where = {"source": "mimic_cxr", "step": "images"}
    assert value(text, "cxr_source_rows", **where, outcome="rejected") == 400
    assert value(text, "cxr_source_reject_share", **where) == 0.4
    assert value(text, "cxr_source_usual_reject_share", **where) == 0.05
    assert value(text, "cxr_source_rejected_rows", **where, reason="truncated") == 400
    assert value(text, "cxr_source_handled_rows_total", **where, unit="images") == 4000
    checked = value(text, "cxr_source_checked_timestamp_seconds", source="mimic_cxr")
    assert checked == pytest.approx((now - timedelta(days=1)).timestamp())


def test_a_cached_look_is_a_look_and_brings_nothing_new(tmp_path: Path, now: datetime) -> None:
    store = house(tmp_path)
    write_run(store, "first", now - timedelta(days=3), day(0, 0.1))
    seen = row("steps", kind="studies", name="mimic_cxr", state="cached")
    write_run(store, "second", now, {"steps": [seen]})
    text = told(tmp_path)
    gap = value(text, "cxr_source_checked_timestamp_seconds", source="mimic_cxr") - value(
        text, "cxr_source_changed_timestamp_seconds", source="mimic_cxr"
    )
    assert gap == pytest.approx(3 * 86400)


def test_language_models_stages_and_scores(tmp_path: Path, now: datetime) -> None:
    write_history(tmp_path, now)
    ledger = Ledger(tmp_path / ".state")
    ledger.add(Work("mimic_cxr", "structure", "gpt-4"), **{SENT: 1, "ok": 1, COST: 3 * NANO})
    ledger.close()
    text = told(tmp_path, llm_budget_usd=4.0)
    work = {"source": "mimic_cxr", "task": "structure", "model": "gpt-4"}
    assert value(text, "cxr_llm_requests_total", **work, outcome="kept") == 7 * 98
    assert value(text, "cxr_llm_requests_total", **work, outcome="failed") == 7 * 2
    assert value(text, "cxr_llm_tokens_total", **work, direction="output") == 7 * 900
    assert value(text, "cxr_llm_rate_limited_total", **work) == 7 * 3
    assert value(text, "cxr_llm_cost_usd_total", **work) == pytest.approx(7 * 0.25)
    assert (value(text, "cxr_llm_spent_usd"), value(text, "cxr_llm_budget_usd")) == (3, 4)
    stage = {"recipe": "llava_rad", "scale": "tiny", "stage": "finetune"}
    assert value(text, "cxr_stage_useful_tokens_per_second", **stage) == 14006
    assert value(text, "cxr_stage_peak_memory_bytes", **stage) == 40 * 2**30
    assert value(text, "cxr_stage_bar_missed", **stage) == 0
    assert value(text, "cxr_stage_loss", **stage, of="validate") == 1.1
    score = {"model": "llava_rad", "metric": "rule14-micro-F1", "better": "higher"}
    shown = {
        alias: value(text, "cxr_model_score", alias=alias, **score)
        for alias in ("champion", "previous", "candidate")
    }
    assert shown == {"champion": 0.55, "previous": 0.54, "candidate": 0.56}
    assert value(text, "cxr_model_alias_version", model="llava_rad", alias="champion") == 5
    assert value(text, "cxr_model_alias_moves_total", model="llava_rad", alias="champion") == 2


def test_a_predecessor_that_was_scored_otherwise_is_no_yardstick(
    tmp_path: Path, now: datetime
) -> None:
    store = house(tmp_path)
    other = {**score_row("scores1", 0.9), "signature": "another"}
    write_run(store, "one", now, {"scores": [other, score_row("scores2", 0.5)]})
    write_alias(store, "champion", [(1, "scores1"), (2, "scores2")], now)
    shown = {dict(labels)["alias"] for name, labels in samples(told(tmp_path)) if "score" in name}
    assert shown == {"champion"}


def test_an_alias_that_was_removed_is_not_shown(tmp_path: Path, now: datetime) -> None:
    store = house(tmp_path)
    write_alias(store, "candidate", [(1, ""), (None, "")], now)  # type: ignore[list-item]
    text = told(tmp_path)
    assert value(text, "cxr_model_alias_moves_total", alias="candidate") == 2
    assert "cxr_model_alias_version{" not in text


def counters(text: str) -> dict[tuple[str, Labels], float]:
    return {
        key: number
        for key, number in samples(text).items()
        if key[0].endswith(("_total", "_bucket", "_count", "_sum"))
    }


def test_counters_only_grow_while_a_run_goes_on_ends_and_the_endpoint_restarts(
    tmp_path: Path, now: datetime
) -> None:
    store = write_history(tmp_path, now)
    opened = started(store, "live")
    reader = FactReader(store)
    before = counters(told(tmp_path))
    note(store, opened.key, "one", {"steps": [{**step("built"), "run_id": "live", "seconds": 5.0}]})
    note(store, opened.key, "two", {"steps": [{**step("killed", "x"), "run_id": "live"}]})
    note(store, opened.key, "llm", {"llm": [llm_row(run_id="live", kept=5)]})
    during, again = counters(told(tmp_path)), reader.tally()
    settle(store, beat(store, opened, ("completed", "")), anew=True)
    after = counters(told(tmp_path))
    for earlier, later in ((before, during), (during, after)):
        assert all(later[key] >= number for key, number in earlier.items())
    assert during["cxr_steps_total", frozenset({("step", "studies"), ("state", "built")})] == 8
    assert ("cxr_steps_total", frozenset({("step", "studies"), ("state", "killed")})) not in during
    assert again.llm["mimic_cxr", "structure", "gpt-4"]["kept"] == 7 * 98 + 5
    assert reader.tally().llm == again.llm, "once, not as open and as ended"
    assert [each.key for each in FactReader(store).running] == []


def test_new_counters_stand_at_zero_first(tmp_path: Path, now: datetime) -> None:
    store = house(tmp_path)
    write_run(store, "old", now, {"llm": [llm_row(kept=7)]})
    registry = CollectorRegistry()
    registry.register(House(store, place(tmp_path), young_seconds=3600.0))
    name = "cxr_llm_requests_total"

    def kept(source: str) -> float:
        return value(generate_latest(registry).decode(), name, source=source, outcome="kept")

    assert kept("mimic_cxr") == 7, "what was there at first is as old as it may be"
    new = [llm_row(kept=3), llm_row(kept=9, source="openi")]
    write_run(store, "new", now, {"llm": new})
    assert (kept("mimic_cxr"), kept("openi")) == (10, 0)


def test_a_counter_comes_of_age() -> None:
    from prometheus_client.core import CounterMetricFamily

    def family(number: float) -> CounterMetricFamily:
        found = CounterMetricFamily("x", "x", labels=("source",))
        found.add_metric(("a",), number)
        return found

    births = Births(0.0)
    assert [one.samples for one in births.shown([])] == []
    [shown] = births.shown([family(5)])
    assert [sample.value for sample in shown.samples] == [5]


def test_series_do_not_grow_with_runs(tmp_path: Path, now: datetime) -> None:
    store = house(tmp_path)
    sizes = []
    for batch in range(3):
        for number in range(6):
            write_run(
                store, f"run{batch}-{number}", now - timedelta(minutes=number), day(number, 0.1)
            )
        sizes.append(len(samples(told(tmp_path))))
    assert sizes[0] == sizes[1] == sizes[2]


def test_reasons_are_bounded_and_strangers_words_cut(tmp_path: Path, now: datetime) -> None:
    store, source = house(tmp_path), "mimic_cxr"
    rows: FactRows = {
        "rows": [row("rows", source=source, kind="images", state="built", rows_in=9)],
        "rejects": [
            row("rejects", source=source, kind="images", reason=f"reason {n:03}\n\x1b" + "x" * 99,
                count=1 + n)
            for n in range(100)
        ],
    }  # fmt: skip
    write_run(store, "one", now, rows)
    reasons = {
        dict(labels)["reason"]: number
        for (name, labels), number in samples(told(tmp_path)).items()
        if name == "cxr_source_rejected_rows"
    }
    assert len(reasons) == 16
    assert sum(reasons.values()) == sum(range(1, 101))
    assert all(len(reason) <= 60 and reason.isprintable() for reason in reasons)


def test_no_label_names_a_run_or_holds_a_time_or_a_fingerprint(
    tmp_path: Path, now: datetime
) -> None:
    write_history(tmp_path, now)
    text = told(tmp_path)
    names = {label for _, labels in samples(text) for label, _ in labels}
    assert names == {
        *("flow", "recipe", "scale", "state", "trigger", "le", "step", "source", "unit"),
        *("outcome", "reason", "task", "model", "direction", "stage", "of", "alias", "ability"),
        *("metric", "part", "better", "version", "facts", "place"),
    }
    assert CANARY not in text
    assert "scores5" not in text
    assert "run1" not in text


def test_what_was_given_up_is_not_asked_for_for_ever(tmp_path: Path, now: datetime) -> None:
    store = house(tmp_path)
    long_ago = now - timedelta(days=91)
    write_run(store, "old", long_ago, day(1, 0.1, "padchest"), flow="ingest", state="failed")
    write_run(store, "new", now, day(1, 0.1))
    shown = samples(told(tmp_path))
    flows = {dict(labels)["flow"] for name, labels in shown if name == "cxr_flow_failing"}
    sources = {dict(labels)["source"] for name, labels in shown if "checked_timestamp" in name}
    assert (flows, sources) == ({"pipeline"}, {"mimic_cxr"})
    assert value(told(tmp_path), "cxr_flow_runs_total", flow="ingest", **FAILED) == 1


def test_who_may_only_read_is_told_and_shown(
    tmp_path: Path, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """A file lies where the facts of a killed run belong, as a read-only disk would refuse them."""
    store = write_history(tmp_path, now)
    opened = started(store, "dead")
    head = tmp_path / OPEN / opened.key / HEAD
    dead = json.loads(head.read_text()) | {"owner": f"{opened.owner}0"}
    del dead[SEAL]
    head.write_text(sealed(dead))
    month = tmp_path / "facts" / "v1" / "runs" / f"month={opened.run['started_at']:%Y-%m}"
    shutil.move(month, month.with_name("month=2000-01"))
    month.write_text("in the way")
    with caplog.at_level("WARNING", "cxrflow"):
        assert value(told(tmp_path), "cxr_flow_runs_total", **FLOW, **KILLED) == 1
    assert "killed runs are not settled" in caplog.text


def test_a_damaged_file_is_counted_and_the_others_are_read(tmp_path: Path, now: datetime) -> None:
    store = write_history(tmp_path, now)
    (tmp_path / fact_files(store, "llm")[0]).write_bytes(b"PAR1")
    text = told(tmp_path)
    assert value(text, "cxr_facts_unreadable_files") == 1
    assert value(text, "cxr_facts_runs") == 8
    assert value(text, "cxr_llm_requests_total", outcome="kept") == 6 * 98


def test_the_endpoint_answers_and_a_taken_port_is_one_clear_line(
    tmp_path: Path, now: datetime
) -> None:
    store = write_history(tmp_path, now)
    with metrics_endpoint(store, place(tmp_path), "127.0.0.1", 0) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
            assert reply.headers["Content-Type"].startswith("text/plain")
            assert value(reply.read().decode(), "cxr_facts_runs") == 8
        with (
            pytest.raises(InputError, match="nothing can listen"),
            metrics_endpoint(store, place(tmp_path), "127.0.0.1", port),
        ):
            pass


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own
def test_a_registry_that_does_not_answer_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    environment = place(tmp_path, mlflow_uri="http://127.0.0.1:9")  # where nobody listens
    own, registry = House(house(tmp_path), environment), CollectorRegistry()
    registry.register(own)
    assert value(generate_latest(registry).decode(), "cxr_registry_answers") == 1
    own.look_at_registry()
    assert value(generate_latest(registry).decode(), "cxr_registry_answers") == 0


def test_tallies_are_copied_deep_enough() -> None:
    tally = Tally()
    tally.add({"llm": [llm_row(kept=1)], "scores": [score_row("a", 0.5)]})
    other = tally.copy()
    other.add({"llm": [llm_row(kept=1)], "scores": [score_row("a", 0.6)]})
    key = ("mimic_cxr", "structure", "gpt-4")
    assert (tally.llm[key]["kept"], other.llm[key]["kept"]) == (1, 2)
    assert (len(tally.scores["a"]), len(other.scores["a"])) == (1, 2)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CXR_LLM_BUDGET_USD", raising=False)
    yield
