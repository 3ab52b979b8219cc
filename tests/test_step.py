"""What identifies an artifact, and the words for why one would be built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.record_file import sealed
from infra.step import MANIFEST, Step, sibling_manifests, why_absent
from infra.store import Store

STEP = Step(
    "images", "openi", {"px": 112, "jpeg": {"quality": 95}}, {"raw": "77"}, 1, ("infra.log",)
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), tmp_path / "state")


def publish(store: Store, step: Step, created_at: str) -> None:
    manifest = {
        "settings": step.settings,
        "inputs": step.inputs,
        "revision": step.revision,
        "created_at": created_at,
    }
    store.overwrite(f"{step.folder}/{MANIFEST}", sealed(manifest))


def test_the_folder_is_kind_name_and_fingerprint() -> None:
    assert STEP.folder == f"images/openi-{STEP.fingerprint}"
    assert len(STEP.fingerprint) == 16


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "studies"},
        {"name": "brax"},
        {"settings": {"px": 113, "jpeg": {"quality": 95}}},
        {"settings": {"px": 112}},
        {"inputs": {"raw": "78"}},
        {"inputs": {"rax": "77"}},
        {"revision": 2},
    ],
)
def test_everything_that_a_recipe_says_counts(change: dict[str, Any]) -> None:
    assert replace(STEP, **change).fingerprint != STEP.fingerprint


def test_code_and_the_order_of_keys_do_not_count() -> None:
    assert replace(STEP, code="infra.errors").fingerprint == STEP.fingerprint
    turned = {"jpeg": {"quality": 95}, "px": 112}
    assert replace(STEP, settings=turned).fingerprint == STEP.fingerprint


def test_kind_and_name_cannot_be_confused() -> None:
    one = Step("a/b", "c", {}, {}, 1, ("x",))
    two = Step("a", "b/c", {}, {}, 1, ("x",))
    assert one.fingerprint == two.fingerprint, "harmless: no kind has a slash"
    assert (
        Step("a", "b", {}, {}, 1, ("x",)).fingerprint
        != Step("b", "a", {}, {}, 1, ("x",)).fingerprint
    )


def test_siblings_are_of_the_same_kind_and_name_newest_first(store: Store) -> None:
    older = replace(STEP, revision=2)
    newer = replace(STEP, revision=3)
    other = replace(STEP, name="openi_more")
    publish(store, older, "2026-01-01T00:00:00+00:00")
    publish(store, newer, "2026-01-02T00:00:00+00:00")
    publish(store, other, "2026-01-03T00:00:00+00:00")
    publish(store, STEP, "2026-01-04T00:00:00+00:00")
    store.overwrite(f"{replace(STEP, revision=4).folder}/{MANIFEST}", "damaged")
    store.overwrite(f"{replace(STEP, revision=5).folder}/p0/x", "unfinished")
    assert [manifest["revision"] for manifest in sibling_manifests(store, STEP)] == [3, 2]


def test_a_first_build_has_no_sibling(store: Store) -> None:
    assert why_absent(store, STEP) == "never built"
    publish(store, STEP, "2026-01-01T00:00:00+00:00")
    assert why_absent(store, STEP) == "never built"


@pytest.mark.parametrize(
    ("old", "why"),
    [
        ({"settings": {"px": 224, "jpeg": {"quality": 95}}}, "px 224 became 112"),
        ({"settings": {"px": 112, "jpeg": {"quality": 90}}}, "jpeg.quality 90 became 95"),
        ({"settings": {"px": 112}}, "jpeg None became {'quality': 95}"),
        ({"inputs": {"raw": "78"}}, "input raw changed"),
        ({"inputs": {}}, "input raw changed"),
        ({"revision": 3}, "code revision 3 became 1"),
        (
            {"revision": 3, "settings": {"px": 1, "jpeg": {"quality": 2}}, "inputs": {"a": "b"}},
            "input a changed; input raw changed; jpeg.quality 2 became 95; px 1 became 112",
        ),
    ],
)
def test_the_reason_names_what_differs(store: Store, old: dict[str, Any], why: str) -> None:
    publish(store, replace(STEP, **old), "2026-01-01T00:00:00+00:00")
    assert why_absent(store, STEP) == why


def test_tuples_in_settings_are_not_a_difference(store: Store) -> None:
    """Settings never left memory; the manifest's went through JSON."""
    step = replace(STEP, settings={"views": ("PA", "AP"), "px": 1})
    publish(store, replace(step, revision=2), "2026-01-01T00:00:00+00:00")
    assert why_absent(store, step) == "code revision 2 became 1"
