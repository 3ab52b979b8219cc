"""A small MLflow registry whose versions are models in name alone, and promoters as processes."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

from infra.errors import Overtaken
from infra.promotions import CHAMPION, Decision, Promotions
from infra.registry import Registry
from infra.tracking_runs import RunBook

MODEL = "llava_rad"
ANA = Decision("ana@here", outcome="d1")


def registry_at(uri: str, artifacts: Path | None = None) -> Registry:
    return Registry(RunBook(uri, "promotions", artifacts))


def add_version(
    registry: Registry, name: str = MODEL, tags: Mapping[str, str] | None = None
) -> int:
    """A version whose run is empty."""
    client = registry.book.client
    if all(model.name != name for model in client.search_registered_models()):
        client.create_registered_model(name)
    run = registry.open_run("register", {})
    run.end("FINISHED")
    uri = client.get_run(run.run_id).info.artifact_uri
    made = client.create_model_version(
        name, f"{uri}/model", run.run_id, tags=dict(tags or {}), await_creation_for=0
    )
    return int(made.version)


PATIENCE_S = 600.0
"""The suite's own limit for a test: a start is slow beside other work, and is no failure."""


class DyingRegistry(Registry):
    """One whose process is killed before it can set an alias."""

    def point(self, name: str, alias: str, number: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _promote_and_die(uri: str, artifacts: Path | None, version: int, expected: int) -> None:
    registry = DyingRegistry(RunBook(uri, "promotions", artifacts))
    Promotions(registry, MODEL, 0.0).promote(version, expected, ANA)


def killed_promotion(uri: str, artifacts: Path | None, version: int, expected: int) -> int:
    """A promoter that is killed between its entry and the alias; its exit code.

    It is waited for without a limit, for its start alone takes minutes beside other work; the
    test's own ends one that hangs.
    """
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=_promote_and_die, args=(uri, artifacts, version, expected))
    process.start()
    try:
        process.join()
    except BaseException:
        process.kill()
        raise
    assert process.exitcode is not None
    return process.exitcode


@dataclass(frozen=True)
class Try:
    """What one promoter saw of one try: what it wanted, whether it won, and once both were through,
    the alias and the log's champion."""

    number: int
    wanted: int
    won: bool
    error: str
    alias: int
    champion: int


def _promoter(
    place: int, uri: str, artifacts: Path | None, tries: int, barrier: Barrier, told: object
) -> None:
    promotions = Promotions(registry_at(uri, artifacts), MODEL)
    jitter = random.Random(place)
    for number in range(tries):
        expected = promotions.history().champion
        wanted = sorted({1, 2, 3} - {expected})[place]
        barrier.wait(PATIENCE_S)
        time.sleep(jitter.random() * 0.01)
        error = ""
        try:
            promotions.promote(wanted, expected, Decision(f"promoter {place}"))
        except Overtaken as lost:
            error = str(lost)
        barrier.wait(PATIENCE_S)
        alias = promotions.registry.alias(MODEL, CHAMPION)
        told.put(  # type: ignore[attr-defined]
            Try(number, wanted, not error, error, alias, promotions.history().champion)
        )
        barrier.wait(PATIENCE_S)


def race(uri: str, artifacts: Path | None, tries: int) -> list[list[Try]]:
    """Two promoters at once, as often as asked; by try what both saw. Versions 1, 2 and 3 must be
    there and one of them champion."""
    spawn = multiprocessing.get_context("spawn")
    barrier, told = spawn.Barrier(2), spawn.Queue()
    both = [
        spawn.Process(target=_promoter, args=(place, uri, artifacts, tries, barrier, told))
        for place in range(2)
    ]
    for process in both:
        process.start()
    try:
        seen = [told.get(timeout=PATIENCE_S) for _ in range(2 * tries)]
        for process in both:
            process.join(PATIENCE_S)
    finally:
        for process in both:
            process.kill()
    assert [process.exitcode for process in both] == [0, 0]
    return [[one for one in seen if one.number == number] for number in range(tries)]
