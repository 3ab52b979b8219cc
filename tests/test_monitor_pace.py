"""A stage's pace in the outcome: its line, its warning, and stages that told none."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from raw_world import look, write_raw

from infra.artifact import build_artifact
from infra.bars import FIGURES
from infra.pieces import BuiltPiece
from models.throughput import Pace
from tasks.context import Context
from tasks.monitor.outcome import outcome_json, outcome_text
from tasks.monitor.pace import missed_bars, pace_numbers, paces, paces_text

LINE = "13999, missed: at least 14000 (the bar)"
PACE: dict[str, Any] = {
    "useful_tokens_per_second": 13_999.0,
    "examples_per_second": 9.5,
    "images_per_second": 9.5,
    "mfu": 0.415,
    "mfu_unavailable": None,
    "data_wait_share": 0.0125,
    "peak_memory_gib": 61.5,
    "peak_memory_of": "device",
    "bar": {
        "verdict": "missed",
        "held": {"useful_tokens_per_second": LINE},
        "missed": ["useful_tokens_per_second"],
    },
}
UNKNOWN: dict[str, Any] = {
    **PACE,
    "images_per_second": 0.0,
    "mfu": None,
    "mfu_unavailable": "the peak of 'CPU' is not known",
    "peak_memory_of": "process",
    "bar": {"verdict": "no bar for this device", "held": {}, "missed": []},
}


def world(tmp_path: Path, measured: dict[str, dict[str, Any]]) -> Context:
    """A recipe whose stages were measured so."""
    write_raw("chexpert", tmp_path / "raw", 4)
    routes = ('sources.routes={chexpert=["synthesize"]}',)
    context = look(tmp_path / "data", {"chexpert": tmp_path / "raw"}, *routes)
    for stage, one in measured.items():

        def write(key: str, folder: Path, one: dict[str, Any] = one) -> BuiltPiece:
            (folder / "result.json").write_text("{}")
            return BuiltPiece(measured=one)

        build_artifact(
            context.store, context.graph[f"stages/{stage}"], lambda: {"model": ""}, write
        )
    return context


def test_outcome_tells_each_stages_pace_in_order(tmp_path: Path) -> None:
    measured = {"align": {"throughput": PACE}, "language": {"throughput": UNKNOWN}}
    context = world(tmp_path, measured)
    assert list(paces(context)) == ["language", "align"]
    assert outcome_json(context)["throughput"] == {"language": UNKNOWN, "align": PACE}
    lines = outcome_text(context, [], 1.0).splitlines()
    assert (
        "pace of language  13,999 useful tokens/s, MFU unavailable: the peak of 'CPU' is not "
        "known, 1.2% waiting for data, 61.50 GiB at most (process); bar: no bar for this device"
    ) in lines
    assert (
        "pace of align     13,999 useful tokens/s, 9.5 images/s, MFU 41.5%, 1.2% waiting for data, "
        "61.50 GiB at most (device); bar: missed"
    ) in lines
    assert f"WARNING: stage align: useful_tokens_per_second {LINE}" in lines


def test_stages_that_told_no_pace_are_left_out(tmp_path: Path) -> None:
    context = world(tmp_path, {"align": {}, "language": {"other": 1.0}})
    assert paces(context) == {}
    assert paces_text(paces(context)) == ""
    assert "pace of" not in outcome_text(context, [], 1.0)


def test_missed_bars_and_numbers() -> None:
    assert missed_bars("align", PACE) == [f"stage align: useful_tokens_per_second {LINE}"]
    assert missed_bars("align", UNKNOWN) == []
    assert "mfu" in pace_numbers(PACE)
    assert "mfu" not in pace_numbers(UNKNOWN)


def test_the_trainer_measures_what_is_shown() -> None:
    assert set(FIGURES) <= {each.name for each in fields(Pace)}
