"""Intervals read the same wherever they stand."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict

import pytest

from evaluation.interval_text import (
    difference_text,
    ends_text,
    interval_text,
    number_text,
    plain,
)
from evaluation.statistics import Interval
from infra.fingerprint import HOUSE

KNOWN = Interval(0.4123, 0.3011, 0.5069)
MIXED = Interval(0.041, -0.002, 0.084)


@pytest.mark.parametrize(
    ("value", "scale", "shown_as"),
    [
        (0.12345, "0-1", "0.123"),
        (12.345, "0-100", "12.3"),
        (12.345, "rank", "12.3"),
        (12.345, "errors per report", "12.345"),
        (-0.5, "0-1", "−0.500"),
        (None, "0-1", "–"),
    ],
)
def test_numbers_have_the_decimals_of_their_scale(
    value: float | None, scale: str, shown_as: str
) -> None:
    assert number_text(value, scale) == shown_as


def test_a_value_stands_before_its_interval() -> None:
    assert interval_text(KNOWN) == "0.412 [0.301, 0.507]"
    assert interval_text(Interval(31.25, 20.0, 40.0), "rank") == "31.2 [20.0, 40.0]"
    assert ends_text(KNOWN) == "[0.301, 0.507]"


def test_a_difference_has_its_signs() -> None:
    assert difference_text(MIXED) == "+0.041 [−0.002, +0.084]"
    assert ends_text(MIXED, "0-100", signed=True) == "[−0.0, +0.1]"
    assert number_text(0.25, signed=True) == "+0.250"


@pytest.mark.parametrize("low", [None, 0.1])
def test_an_unknown_interval_leaves_the_value_alone(low: float | None) -> None:
    assert interval_text(Interval(0.5, low, None)) == "0.500"
    assert difference_text(Interval(0.5, low, None)) == "+0.500"
    assert ends_text(Interval(0.5, low, None)) == ""


def test_what_is_unknown_is_a_dash() -> None:
    for unknown in (None, Interval(None, None, None), Interval(None, 0.1, 0.2)):
        assert interval_text(unknown) == difference_text(unknown) == "–"


def test_a_row_of_a_document_reads_like_its_interval() -> None:
    row = {**asdict(MIXED), "metric": "rule14-micro-F1"}
    assert difference_text(row) == difference_text(MIXED)
    assert interval_text({"value": None, "low": None, "high": None}) == "–"


def test_a_terminal_gets_what_every_encoding_has() -> None:
    assert plain(difference_text(MIXED)) == "+0.041 [-0.002, +0.084]"
    assert plain(number_text(None)) == "-"
    assert float(plain(number_text(-0.5))) == -0.5


def test_the_command_line_pays_no_numpy_for_it() -> None:
    asked = "import sys, evaluation.interval_text; sys.exit('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], cwd=HOUSE, check=False)
    assert done.returncode == 0
