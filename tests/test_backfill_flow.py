"""The backfill as a person starts it: by command and by the deployment's parameters."""

from __future__ import annotations

from pathlib import Path

import pytest
from raw_world import write_raw

from flows.deployments import read_plan
from tasks.backfill.work import Backfill
from tests.small_world import cxr, cxr_json

pytestmark = pytest.mark.slow
CHEXPERT = "chexpert"


def options(root: Path) -> tuple[str, ...]:
    routes = 'sources.routes={chexpert=["synthesize"],object_cxr=["synthesize"]}'
    sources = (f"{name}={root / name}" for name in (CHEXPERT, "object_cxr"))
    given = [word for one in sources for word in ("--source", one)]
    sets = ("--set", routes, "--set", "sources.pieces=4", "--set", "images.short_side_px=64")
    return (*given, *sets, "--data-root", str(root / "data"))


def built(root: Path, *words: str) -> dict[str, int]:
    told = cxr_json("backfill", *options(root), *words)
    return {step["key"]: step["built"] for step in told["steps"]}


def test_a_backfill_by_source_and_shard(tmp_path: Path) -> None:
    for name in (CHEXPERT, "object_cxr"):
        write_raw(name, tmp_path / name, 12)
    first = built(tmp_path, "--only", CHEXPERT, "--until", "reports")
    assert first.keys() == {f"{kind}/{CHEXPERT}" for kind in ("studies", "images", "reports")}
    assert min(first.values()) > 0
    assert set(built(tmp_path, "--only", CHEXPERT, "--until", "reports").values()) == {0}
    again = built(tmp_path, "--only", CHEXPERT, "--shard", "p0002", "--again")
    assert again == {f"studies/{CHEXPERT}": 1, f"images/{CHEXPERT}": 1}
    assert not list((tmp_path / "data").glob("studies/object_cxr-*"))
    refused = cxr("backfill", *options(tmp_path), "--only", "brax")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert "found source 'brax', which this run does not have" in refused.stderr


def test_the_deployments_parameters_are_the_flows(tmp_path: Path) -> None:
    [planned] = [each for each in read_plan().deployments if each.name == "backfill"]
    assert Backfill(**planned.parameters["asked"]) == Backfill()
