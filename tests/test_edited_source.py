"""One report is edited at its publisher's: what stands on it is made again, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.raw_world import edit_report
from tests.small_world import cxr_json, payload_digests, small_arguments

pytestmark = pytest.mark.slow

ONE_SOURCE = 'sources.routes={mimic_cxr=["keep","structure"]}'


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user has it, outside the data root: a replica's files."""
    made = tmp_path_factory.mktemp("made")
    cxr_json("ingest", *small_arguments(made, ONE_SOURCE))
    (tree,) = made.glob("replicas/mimic_cxr-*/tree-*")
    return Path(shutil.copytree(tree, tmp_path_factory.mktemp("publisher") / "mimic_cxr"))


def run(root: Path, raw: Path) -> Any:
    arguments = [word for word in small_arguments(root, ONE_SOURCE) if word != "--replicas"]
    return cxr_json("run", *arguments, "--source", f"mimic_cxr={raw}")


def test_an_edited_report_trains_everything_again_but_rewrites_one_piece(
    raw: Path, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    first = run(root, raw)
    pixels = {name: each for name, each in payload_digests(root).items() if "images/" in name}
    edit_report(raw)
    second = run(root, raw)
    built = {step["key"]: step["built"] for step in second["steps"] if step["built"]}
    assert built == {
        "studies/mimic_cxr": 1,
        "images/mimic_cxr": 1,  # its manifest: no piece of pixels was touched
        "reports/mimic_cxr": 1,
        "examples/llava_rad": 1,
        **{f"stages/{name}": 1 for name in ("language", "pretrain", "align", "finetune")},
        "predictions/llava_rad": built["predictions/llava_rad"],
        "scores/llava_rad": built["scores/llava_rad"],
        "retrieval/llava_rad": 1,
        "models/llava_rad": 1,
    }
    after = payload_digests(root)
    names = {name.split("/", 2)[2]: each for name, each in after.items() if "images/" in name}
    assert names == {name.split("/", 2)[2]: each for name, each in pixels.items()}
    assert second["losses"]["language"] != first["losses"]["language"]
    assert run(root, raw)["steps"][0]["built"] == 0
