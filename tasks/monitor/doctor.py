"""Is this machine fit, and is the data root sound? Removes what killed runs left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from evaluation.metric_cache import MetricCache
from infra.errors import InputError
from infra.fingerprint import HOUSE
from infra.llm.status import damaged_files
from infra.pieces import is_sound, piece_from_json
from infra.record_file import read_record
from infra.settings.environment import Environment, without_password
from infra.step import MANIFEST
from infra.store import Store
from tasks.forget.dossier import unfinished
from tasks.graph import REVISIONS

SMALLEST_FREE_GB = 5.0
"""Our choice: a demo writes about 0.5 GB, and Parquet writing needs room to spare."""
_PACKAGES = ("prefect", "mlflow", "torch", "transformers", "deepspeed", "peft", "pyarrow", "duckdb")


@dataclass(frozen=True)
class Finding:
    """``state`` is fine, mended, unavailable or wrong; only ``wrong`` needs a person."""

    what: str
    state: Literal["fine", "mended", "unavailable", "wrong"]
    detail: str


def examine(store: Store, environment: Environment) -> list[Finding]:
    """All checks; artifacts are read in full against their digests."""
    return [
        *_packages(),
        _device(),
        _disk(store),
        _scratch(store),
        *_artifacts(store),
        _endpoint(environment),
        _answers(environment.state),
        _metric_cache(environment.state),
        _forgetting(environment.state),
    ]


def _packages() -> Iterator[Finding]:
    for name in _PACKAGES:
        try:
            yield Finding(name, "fine", version(name))
        except PackageNotFoundError:
            yield Finding(name, "wrong", "not installed; run make setup")


def _device() -> Finding:
    """Asked in a child: this process never imports torch."""
    code = "import torch; print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else '')"
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=HOUSE, check=False
    )
    if child.returncode:
        last = child.stderr.strip().rpartition("\n")[2] or f"ended with {child.returncode}"
        return Finding("GPU", "wrong", last)
    name = child.stdout.strip()
    if name:
        return Finding("GPU", "fine", name)
    return Finding("GPU", "unavailable", "no CUDA device; the tiny scale runs on the CPU")


def _disk(store: Store) -> Finding:
    place = Path(store.path("")) if store.is_local else store.state
    free_gb = shutil.disk_usage(place).free / 1e9
    state: Literal["fine", "wrong"] = "fine" if free_gb >= SMALLEST_FREE_GB else "wrong"
    return Finding("free disk", state, f"{free_gb:.1f} GB at {place}")


def _scratch(store: Store) -> Finding:
    """Remove folders whose process is gone."""
    abandoned = store.abandoned_scratch()
    for path in abandoned:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if not abandoned:
        return Finding("scratch", "fine", "none left by killed runs")
    return Finding("scratch", "mended", f"removed {len(abandoned)} left by killed runs")


def _artifacts(store: Store) -> Iterator[Finding]:
    """Every artifact under the root: whole, damaged, or unfinished."""
    sound = 0
    for kind in REVISIONS:
        for name in store.list_folder(kind):
            if name.startswith("."):
                continue
            problem = _problem(store, f"{kind}/{name}")
            if problem is None:
                sound += 1
            else:
                yield problem
    yield Finding("artifacts", "fine", f"{sound} whole under {store.root}")


def _problem(store: Store, folder: str) -> Finding | None:
    place = f"{folder}/{MANIFEST}"
    if not store.exists(place):
        return Finding(folder, "unavailable", "unfinished; the next run goes on from its pieces")
    try:
        manifest = read_record(store, place)
    except InputError as error:  # a folder in its place, or one that may not be read
        return Finding(folder, "wrong", str(error))
    if manifest is None:
        return Finding(folder, "wrong", "damaged manifest; the next run mends it")
    pieces = [piece_from_json(item) for item in manifest["pieces"]]
    damaged = [piece.key for piece in pieces if not is_sound(store, piece)]
    if damaged:
        return Finding(folder, "wrong", f"damaged {', '.join(damaged)}; the next run rebuilds it")
    return None


def _answers(state: Path) -> Finding:
    """Paid answers that cannot be read would stop the next run that wants one of them."""
    damaged = damaged_files(state)
    if not damaged:
        return Finding("stored answers", "fine", f"as they were written, under {state}")
    advice = "restore them, or run 'cxr llm compact --forget-damaged'"
    return Finding("stored answers", "wrong", f"damaged {', '.join(sorted(damaged))}; {advice}")


def _forgetting(state: Path) -> Finding:
    """A ``cxr forget`` that was stopped leaves what it knows of the subject beside what is left."""
    number = unfinished(state)
    if not number:
        return Finding("withdrawals", "fine", "none that was begun and stopped")
    advice = "run 'cxr forget' again for whoever it was"
    return Finding("withdrawals", "wrong", f"{number} begun and not finished; {advice}")


def _metric_cache(state: Path) -> Finding:
    """Counts can be made again, so a damaged file of them stops nothing."""
    cache = MetricCache.in_state(state)
    damaged = cache.damaged()
    if damaged:
        cache.forget(damaged)
        return Finding("metric cache", "mended", f"removed damaged {', '.join(damaged)}")
    size = sum(path.stat().st_size for path in cache.files()) / 1e6
    return Finding("metric cache", "fine", f"{size:.1f} MB of counts in {cache.folder}")


def _endpoint(environment: Environment) -> Finding:
    if environment.llm_base_url is None:
        return Finding("language model", "fine", "the embedded offline server (rules)")
    place = without_password(environment.llm_base_url)
    return Finding(
        "language model", "fine", f"{place} with guarantee '{environment.llm_guarantee}'"
    )
