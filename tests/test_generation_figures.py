"""Figures of a run, and the stop at SIGTERM."""

from __future__ import annotations

import os
import signal

import pytest

from infra.child import StopAtSigterm
from models.decoding import Work
from models.generation_figures import figures_of_all, figures_of_rank


def test_a_ranks_figures_are_its_own_works() -> None:
    figures = figures_of_rank(Work(openings=3, steps=10, busy=36, room=40), 50, 2.5)
    memory = figures.pop("peak_memory_bytes")
    assert memory > 50e6  # this very process, with torch loaded
    assert figures == {
        "tokens": 50,
        "seconds": 2.5,
        "openings": 3,
        "steps": 10,
        "busy": 36,
        "room": 40,
    }


def test_a_run_lasts_as_long_as_its_slowest_rank() -> None:
    ranks = [
        {"tokens": 60, "seconds": 2.0, "openings": 2, "busy": 9, "room": 10},
        {"tokens": 40, "seconds": 4.0, "openings": 3, "busy": 5, "room": 10},
    ]
    told = figures_of_all([each | {"peak_memory_bytes": 7 + n} for n, each in enumerate(ranks)])
    assert told == {
        "tokens_per_second": 25.0,
        "busy_share": 0.7,
        "openings_read": 5,
        "peak_memory_bytes": 8,
    }


def test_a_run_that_found_all_answers_done_tells_no_rate() -> None:
    told = figures_of_all([figures_of_rank(Work(), 0, 0.0)])
    assert told["tokens_per_second"] is None
    assert told["busy_share"] is None


def test_sigterm_is_told_and_no_more() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopAtSigterm() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_handler_goes_with_an_error_too() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), StopAtSigterm():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before
