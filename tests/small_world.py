"""A whole pipeline in miniature: two replicas, three steps a stage, run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SMALL = (
    'sources.routes={mimic_cxr=["keep","structure"],chexpert=["synthesize"]}',
    "sources.pieces=3",
    "replicas.studies.mimic_cxr=60",
    "replicas.studies.chexpert=20",
    "replicas.side_px=144",
    "stages.language.steps=3",
    "stages.pretrain.steps=3",
    "stages.align.steps=3",
    "stages.finetune.steps=3",
    "score.bootstrap_resamples=20",
    "generate.max_new_tokens=16",
    'readings=["retrieval"]',
)
HOUSE = Path(__file__).parent.parent


def small_arguments(data_root: Path, *more: str) -> list[str]:
    """Options of a small run on replicas."""
    sets = [word for setting in (*SMALL, *more) for word in ("--set", setting)]
    return ["--scale", "tiny", "--replicas", "--data-root", str(data_root), *sets]


def cxr(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, as a shell would."""
    return subprocess.run(
        [sys.executable, "-c", "from flows.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        cwd=HOUSE,
        env=cxr_environment(**variables),
        check=False,
    )


def cxr_environment(**variables: str) -> dict[str, str]:
    """This process's environment without Prefect's, MLflow's and our own variables, plus others."""
    own = ("PREFECT_", "CXR_", "MLFLOW_", "OMP_NUM_THREADS")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(own)}
    return {**kept, "PYTHONPATH": str(HOUSE), **variables}


def cxr_json(*arguments: str, **variables: str) -> Any:
    """The document that a command prints with ``--json``; fails with its stderr."""
    done = cxr(*arguments, "--json", **variables)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def payload_digests(root: Path) -> dict[str, str]:
    """Digest of every payload file that a manifest under ``root`` names, by folder and name."""
    found: dict[str, str] = {}
    for manifest in sorted(root.glob("*/*/manifest.json")):
        for piece in json.loads(manifest.read_text())["pieces"]:
            for file in piece["files"]:
                name = f"{manifest.parent.relative_to(root)}/{piece['key']}/{file['name']}"
                found[name] = file["digest"]
    return found
