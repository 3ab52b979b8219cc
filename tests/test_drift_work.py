"""The look at a champion: which studies it is asked about, what is told, how looks are counted."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from evaluation.drift_features import METRIC
from infra.errors import InputError
from infra.facts.files import fact_files, read_facts
from tasks.drift.order import MonitorOrder
from tasks.drift.plan import plan_drift
from tasks.drift.recent import KNOWN, LEARNED, WINDOW, pack_recent
from tasks.drift.work import (
    MARKDOWN_FILE,
    PAGE_FILE,
    TABLE_FILE,
    document_of,
    last_look,
    look,
    looks_taken,
)
from tests.drift_work_world import (
    CLEAR,
    EFFUSION,
    FIRST_DAY,
    JUDGED,
    MODEL,
    Recent,
    arrive,
    make_champion,
    order,
)
from tests.promote_world import PromoteWorld


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: it takes a registry."""
    made = tmp_path_factory.mktemp("champion")
    make_champion(made)
    return made


@pytest.fixture
def root(tmp_path: Path, champion: Path) -> Path:
    """A copy that a test may add to."""
    return Path(shutil.copytree(champion, tmp_path / "root"))


def test_nothing_new_in_kind_is_no_drift(root: Path) -> None:
    plan = arrive(root, Recent())
    artifact = look(plan)
    document = document_of(artifact)
    assert not document["drifted"]
    assert document["recent_examples"] == 30
    assert document["reference_examples"] == JUDGED
    assert document["tested"] >= 10
    [everything, _] = document["scores"]
    assert everything["metric"] == METRIC
    assert everything["reference"][0] == everything["recent"][0] == 1.0
    found = last_look(plan)
    assert found is not None
    assert found.fingerprint == artifact.fingerprint


def test_planted_shifts_are_told_by_name(root: Path) -> None:
    odd = "Zurich template wording: impossible sentence about nothing at all, again and again."
    shifted = Recent(40, bright=1.6, text=lambda _: odd, answer=lambda _: EFFUSION)
    artifact = look(arrive(root, shifted))
    document = document_of(artifact)
    drifted = {test["quantity"] for test in document["tests"] if test["drifted"]}
    wanted = {"film mean", "reference length", "reference unknown words",
              "written Pleural Effusion"}  # fmt: skip
    assert wanted <= drifted
    assert "film aspect" not in drifted
    text = artifact.files(MARKDOWN_FILE)[0].read_text()
    assert "| mimic_cxr | film mean |" in text
    assert "mimic_cxr" in artifact.files(PAGE_FILE)[0].read_text()
    rows = pq.read_table(artifact.files(TABLE_FILE)[0]).to_pylist()
    assert {row["quantity"] for row in rows if row["drifted"]} == drifted
    whole = json.dumps(document) + text + artifact.files(PAGE_FILE)[0].read_text()
    assert "Zurich" not in whole
    assert "n100" not in whole


def test_a_model_that_does_worse_is_told(root: Path) -> None:
    worse = Recent(60, answer=lambda text: CLEAR if text == EFFUSION else EFFUSION)
    document = document_of(look(arrive(root, worse)))
    drifted = {test["quantity"] for test in document["tests"] if test["drifted"]}
    assert METRIC in drifted
    assert not any(name.startswith(("film", "reference")) for name in drifted)
    assert document["scores"][0]["recent"][0] < document["scores"][0]["reference"][0]


def test_studies_that_it_knows_and_subjects_that_it_learned_are_left_out(root: Path) -> None:
    plan = arrive(root, Recent(25, same_subject=True))
    packed = pack_recent(plan)
    [count] = packed.counts
    assert count.kept == 24
    assert count.rejected[KNOWN] == JUDGED + 6
    assert count.rejected[LEARNED] == 1
    assert count.rows_in == count.kept + sum(count.rejected.values())


def test_a_window_of_days(root: Path) -> None:
    last = FIRST_DAY + timedelta(days=9)
    packed = pack_recent(arrive(root, Recent(40), since=FIRST_DAY, until=last))
    [count] = packed.counts
    assert count.kept == 20
    assert count.rejected[WINDOW] == 20


def test_looks_are_counted_by_facts_and_a_year_has_no_more_than_planned(root: Path) -> None:
    now = datetime.now(UTC)
    shifted = Recent(40, bright=1.6)
    first = look(arrive(root, shifted, night=1, looks_per_year=2))
    store = first.store
    assert document_of(first)["drifted"]
    assert looks_taken(store, MODEL, now) == 1
    again = look(arrive(root, shifted, night=1, looks_per_year=2))
    assert again.cached
    assert looks_taken(store, MODEL, now) == 1
    look(arrive(root, shifted, night=2, looks_per_year=2))
    third = document_of(look(arrive(root, shifted, night=3, looks_per_year=2)))
    assert (third["level"], third["drifted"], third["looks_taken_before"]) == (0.0, False, 2)
    assert looks_taken(store, MODEL, now) == 2
    assert looks_taken(store, MODEL, now + timedelta(days=370)) == 0
    assert looks_taken(store, "another", now) == 0
    rows = read_facts(store, "drift")
    assert {row["model"] for row in rows} == {MODEL}
    assert len({row["fingerprint"] for row in rows}) == 3


def test_a_look_whose_facts_were_lost_tells_them_once(root: Path) -> None:
    """As after a kill between the two."""
    plan = arrive(root, Recent())
    store = look(plan).store
    [place] = fact_files(store, "drift")
    before = read_facts(store, "drift")
    Path(store.path(place)).unlink()
    assert looks_taken(store, MODEL, datetime.now(UTC)) == 0
    for _ in range(2):
        assert look(plan).cached
        assert read_facts(store, "drift") == before
    assert fact_files(store, "drift") == [place]


def test_no_new_study_is_a_look_at_nothing(root: Path) -> None:
    document = document_of(look(arrive(root, Recent(0))))
    assert document["tests"] == []
    assert not document["drifted"]
    assert document["only_reference"] == ["mimic_cxr"]


def test_what_is_wrong_with_an_order_is_one_line(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no version '@champion' of model 'other'"):
        plan_drift(MonitorOrder(model="other", order=order(root, 61)))
    PromoteWorld(root).registry.point(MODEL, "champion", 0)
    with pytest.raises(InputError, match="no version '@champion'"):
        plan_drift(MonitorOrder(model=MODEL, order=order(root, 61)))
    with pytest.raises(InputError):
        plan_drift(MonitorOrder(model=MODEL, order=order(tmp_path / "elsewhere", 61)))


def test_days_of_an_order_are_days() -> None:
    assert MonitorOrder(since=date(2026, 1, 2)).model_dump(mode="json")["since"] == "2026-01-02"
    with pytest.raises(ValueError, match="yearly_false_alarms"):
        MonitorOrder(yearly_false_alarms=0)
