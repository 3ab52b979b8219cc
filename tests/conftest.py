"""What all tests share: no call home, and the real public data where it is there."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from cli_world import Said, Say
from told_times import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

for name, value in (
    ("PREFECT_SERVER_ANALYTICS_ENABLED", "false"),
    ("DO_NOT_TRACK", "1"),
    ("HF_HUB_OFFLINE", "1"),
    ("OMP_NUM_THREADS", "1"),
):
    os.environ.setdefault(name, value)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are collected, and later not among them and the libraries:
    hardly anything of it is garbage, and to look through it all took 17 of 40 s of collecting
    (docs/log.md)."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


THINNED = (
    "tests/damage/",
    "tests/test_llm_batch_hostile.py",
    "tests/test_offline_faults.py",
    "tests/test_decoding.py",
    "tests/test_source_manifest.py",
    "tests/test_llm_quota.py",
    "tests/test_damaged_root.py",
    "tests/test_live_decoding.py",
    "tests/test_manifest_languages.py",
    "tests/test_llm_rude.py",
    "tests/test_models_parts.py",
    "tests/test_phantom_boxes.py",
    "tests/test_burned_in.py",
    "tests/test_launch.py",
    "tests/test_forget_ids.py",
    "tests/test_replica_layout_object_cxr.py",
    "tests/test_llm_faults.py::test_every_request_ends_in_one_way",
    "tests/test_source_contract.py::test_a_replica_follows_its_seed",
    "tests/test_source_contract.py::test_reading_twice_gives_the_same",
    "tests/test_offline_server.py::test_faults_that_pass_lose_nothing",
    "tests/test_llm_batch.py::test_lines_that_go_wrong",
    "tests/test_llm_batch_budget.py::test_counts_add_up_whatever_goes_wrong",
    "tests/test_forget.py::test_nothing_is_left_and_the_others_keep_their_checksums",
    "tests/test_workers.py::test_a_lost_worker_is_told",
    "tests/test_cli.py::test_config_prints_what_set_accepts",
    "tests/test_cli.py::test_a_sources_card_and_layout_are_shown",
    "tests/test_cli_usage.py::test_a_number_out_of_bounds",
    "tests/test_perceptual_hash.py::test_copies_of_phantoms_are_caught",
    "tests/test_retention.py::test_what_a_kept_run_needs_stays_whole",
    "tests/test_examples_plan.py::test_whatever_is_packed_counts",
    "tests/test_replicas_phantom.py::test_a_finding_can_be_seen",
    "tests/test_source_mimic_cxr.py::test_every_published_view_position",
    "tests/test_source_nih_cxr14.py::test_every_name_has_its_counterpart",
    "tests/test_source_mimic_cxr_annotations.py::test_findings_that_are_no_text",
    "tests/test_draw.py::test_before_its_first_step",
    "tests/test_monitor_states.py::test_only_what_may_pass_by_itself",
    "tests/test_score_pairs.py::test_bad_input_is_one_line",
)
"""Catalogues of many cases for each test, or of few that take long."""
ONE_OF = 4


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a catalogue's cases ``make test`` runs each fourth one, ``make test-slow`` the others; the
    first of every test is among the former."""
    seen: Counter[str] = Counter()
    for item in items:
        if item.nodeid.startswith(THINNED) and isinstance(item, pytest.Function):
            name = f"{item.path}::{item.originalname}"
            if seen[name] % ONE_OF:
                item.add_marker(pytest.mark.slow)
            seen[name] += 1


def pytest_unconfigure() -> None:
    """At its end the interpreter looks through everything, or libraries speak of leaks."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder with ``nih_cxr14/``, ``openi/`` and ``vqa_rad/``; read-only."""
    place = os.environ.get("CXR_PUBLIC_DATA")
    if not place:
        pytest.skip("CXR_PUBLIC_DATA is not set: it names the folder of real public data")
    root = Path(place)
    assert root.is_dir(), f"CXR_PUBLIC_DATA names {root}, which is no folder"
    return root


@pytest.fixture
def cxr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Say]:
    """The command in this process: exit code and what it printed."""
    from flows.cli import main
    from infra.log import LOGGER

    for name in list(os.environ):
        if name.startswith("CXR_"):
            monkeypatch.delenv(name)
    handlers = list(LOGGER.handlers)
    LOGGER.handlers.clear()

    def say(*arguments: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        LOGGER.handlers.clear()  # the next call has another stderr
        return Said(int(caught.value.code or 0), said.out, said.err)

    yield say
    LOGGER.handlers[:] = handlers
