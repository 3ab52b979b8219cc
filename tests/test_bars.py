"""Stored bars: which of them fit a stage, and what is said of its figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.bars import NO_BAR, Bar, Setting, hold, load_bars
from infra.errors import SettingsError

SEVEN = Setting("NVIDIA H200", "finetune", "lora", 6_900_000_000, 518, "bfloat16")


def test_published_bars_are_stored() -> None:
    good = {"useful_tokens_per_second": 14_500.0, "mfu": 0.41, "data_wait_share": 0.01}
    verdict = hold(good, SEVEN, load_bars())
    assert verdict.verdict == "met"
    assert verdict.held["useful_tokens_per_second"] == (
        "14500, met: at least 14000 (the project's bar for a 7B LoRA step)"
    )
    assert "mfu" not in verdict.held, "the share is asked of full fine-tuning alone"


def test_a_missed_figure_is_named() -> None:
    slow = {"useful_tokens_per_second": 13_999.0, "data_wait_share": 0.2}
    verdict = hold(slow, SEVEN, load_bars())
    assert verdict.verdict == "missed"
    assert verdict.missed == ("useful_tokens_per_second", "data_wait_share")
    assert verdict.held["data_wait_share"] == "0.2, missed: at most 0.05 (our choice for any GPU)"


def test_full_finetuning_is_held_by_its_share_of_the_peak() -> None:
    full = Setting("NVIDIA H200", "finetune", "whole", 7_060_000_000, 518, "bfloat16")
    assert hold({"mfu": 0.54}, full, load_bars()).missed == ("mfu",)
    assert hold({"mfu": 0.56}, full, load_bars()).verdict == "met"


@pytest.mark.parametrize(
    "setting",
    [
        Setting("CPU", "finetune", "lora", 6_900_000_000, 518, "bfloat16"),
        Setting("Radeon", "pretrain", "whole", 197_000_000, 518, "bfloat16"),
    ],
)
def test_a_device_without_a_bar_is_told_so(setting: Setting) -> None:
    verdict = hold({"useful_tokens_per_second": 1.0, "mfu": None}, setting, load_bars())
    assert (verdict.verdict, verdict.held, verdict.missed) == (NO_BAR, {}, ())


def test_a_bar_for_seven_billion_says_nothing_of_a_small_model() -> None:
    small = Setting("NVIDIA H200", "finetune", "lora", 3_000_000, 518, "bfloat16")
    verdict = hold({"useful_tokens_per_second": 10.0, "data_wait_share": 0.0}, small, load_bars())
    assert list(verdict.held) == ["data_wait_share"]


@pytest.mark.parametrize(
    "changes",
    [{"image_px": 224}, {"precision": "float32"}, {"precision": "nf4"}, {"device": "NVIDIA GH200"}],
)
def test_a_bar_holds_for_its_shape_numbers_and_device(changes: dict[str, Any]) -> None:
    """518 px in bfloat16 says nothing of another run; H200 is no part of GH200."""
    other = replace(SEVEN, **changes)
    verdict = hold({"useful_tokens_per_second": 10.0, "data_wait_share": 0.0}, other, load_bars())
    assert list(verdict.held) == ["data_wait_share"]
    named = replace(SEVEN, device="NVIDIA H200 NVL")
    assert hold({"useful_tokens_per_second": 10.0}, named, load_bars()).verdict == "missed"


def test_what_was_not_measured_is_not_held() -> None:
    assert hold({"mfu": None}, SEVEN, load_bars()).verdict == NO_BAR


def test_of_two_bars_both_are_to_be_met() -> None:
    bars = [Bar(device="X", origin="one", mfu=0.5), Bar(device="X", origin="two", mfu=0.3)]
    verdict = hold({"mfu": 0.4}, Setting("X", "align", "whole", 1, 518, "bfloat16"), bars)
    assert verdict.missed == ("mfu",)
    assert verdict.held["mfu"] == "0.4, missed: at least 0.5 (one)"


def test_a_misspelt_bar_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bars.toml"
    file.write_text('[[bars]]\ndevice = "X"\norigin = "me"\nmfu = 1.5\n')
    with pytest.raises(SettingsError, match=r"'bars\.0\.mfu' of bars\.toml"):
        load_bars(file)
