"""Promotions on a real MLflow registry: races, kills between entry and alias, moves by hand."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.errors import CxrError, InputError, Overtaken
from infra.promotion_log import NOBODY
from infra.promotions import CHAMPION, Decision, Promotions
from infra.registry import LOG_SUFFIX, Registry
from tests.registry_world import (
    ANA,
    MODEL,
    Try,
    add_version,
    killed_promotion,
    race,
    registry_at,
)
from tests.small_world import cxr_environment

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own tables
BEN = Decision("ben@there")


@dataclass(frozen=True)
class World:
    """A registry's place; each test has a copy of one database, for making its tables is slow."""

    uri: str
    artifacts: Path | None

    @property
    def registry(self) -> Registry:
        return registry_at(self.uri, self.artifacts)

    @property
    def promotions(self) -> Promotions:
        return Promotions(self.registry, MODEL, 0.0)

    @property
    def champion(self) -> tuple[int, int]:
        """By the alias and by the log."""
        return self.registry.alias(MODEL, CHAMPION), self.promotions.history().champion


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with versions 1, 2 and 3 and no champion."""
    root = tmp_path_factory.mktemp("registry")
    registry = registry_at(f"sqlite:///{root / 'mlflow.db'}", root / "artifacts")
    for _ in range(3):
        add_version(registry)
    return root / "mlflow.db"


@pytest.fixture
def world(template: Path, tmp_path: Path) -> World:
    (tmp_path / "mlflow.db").write_bytes(template.read_bytes())
    return World(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")


# One promoter.


def test_a_promotion_is_an_entry_and_an_alias(world: World) -> None:
    entry = world.promotions.promote(2, NOBODY, ANA)
    assert (entry.number, entry.version, entry.expected, entry.by) == (1, 2, 0, "ana@here")
    assert world.champion == (2, 2)
    [kept] = world.promotions.history().entries
    assert kept.settled and kept.outcome == "d1" and kept.run_id
    shown = world.registry.book.client.get_model_version(MODEL + LOG_SUFFIX, "1")
    assert shown.description.startswith(
        "promote: version 2 in place of nobody as champion of llava_rad, ana@here, "
    )


def test_one_that_was_judged_against_another_champion_changes_nothing(world: World) -> None:
    world.promotions.promote(1, NOBODY, ANA)
    with pytest.raises(Overtaken) as caught:
        world.promotions.promote(2, NOBODY, BEN)
    assert caught.value.exit_code == 2
    text = str(caught.value)
    assert text.startswith("found version 1 as champion of llava_rad (promote: version 1 in place")
    assert "ana@here" in text
    assert "expected still no champion, against which version 2 was judged" in text
    assert world.champion == (1, 1)
    assert len(world.promotions.history().entries) == 1


def test_rollback_goes_back_and_back_again(world: World) -> None:
    for version in (1, 2, 3):
        world.promotions.promote(version, version - 1, ANA)
    assert world.promotions.rollback(ANA).version == 2
    assert world.champion == (2, 2)
    assert world.promotions.rollback(Decision("ana@here", "worse at night")).version == 1
    assert world.champion == (1, 1)
    last = world.promotions.history().last
    assert last is not None
    assert (last.kind, last.reason) == ("rollback", "worse at night")
    with pytest.raises(InputError, match=r"^found no earlier champion of llava_rad"):
        world.promotions.rollback(ANA)


def test_rollback_to_an_earlier_champion_by_its_number(world: World) -> None:
    for version in (1, 2, 3):
        world.promotions.promote(version, version - 1, ANA)
    with pytest.raises(InputError, match=r"version 9, no earlier champion .*: 2, 1;"):
        world.promotions.rollback(ANA, to=9)
    assert world.promotions.rollback(ANA, to=1).version == 1
    assert world.champion == (1, 1)


def test_rollback_passes_over_a_version_that_was_deleted(world: World) -> None:
    for version in (1, 2, 3):
        world.promotions.promote(version, version - 1, ANA)
    world.registry.book.client.delete_model_version(MODEL, "2")
    assert world.promotions.rollback(ANA).version == 1
    assert world.champion == (1, 1)


# A promoter that is killed.


def test_what_a_killed_promoter_began_is_finished_by_whoever_comes_next(world: World) -> None:
    world.promotions.promote(1, NOBODY, ANA)
    assert killed_promotion(world.uri, world.artifacts, 2, 1) == -signal.SIGKILL
    assert world.champion == (1, 2), "entered, and the alias not yet set"
    history = world.promotions.settle("ben@there")
    assert world.champion == (2, 2)
    assert [entry.kind for entry in history.entries] == ["promote", "promote"]


class Stopping(Registry):
    """One that gives up where it should set an alias."""

    def point(self, name: str, alias: str, number: int) -> None:
        raise CxrError("stopped")


def stopped_promotion(world: World, version: int, expected: int) -> None:
    """The same as a kill, for whoever comes next, without the seconds that a process takes."""
    with pytest.raises(CxrError, match="stopped"):
        Promotions(Stopping(world.registry.book), MODEL, 0.0).promote(version, expected, ANA)


def test_the_next_promoter_is_judged_against_what_the_killed_one_left(world: World) -> None:
    stopped_promotion(world, 2, NOBODY)
    assert world.champion == (NOBODY, 2)
    with pytest.raises(Overtaken, match="version 2 as champion"):
        world.promotions.promote(3, NOBODY, BEN)
    assert world.champion == (2, 2)
    world.promotions.promote(3, 2, BEN)
    assert world.champion == (3, 3)


def test_an_alias_moved_by_hand_after_a_kill_stands(world: World) -> None:
    world.promotions.promote(1, NOBODY, ANA)
    stopped_promotion(world, 2, 1)
    world.registry.point(MODEL, CHAMPION, 3)
    world.promotions.settle("ben@there")
    assert world.champion == (3, 3)
    kinds = [(one.kind, one.version) for one in world.promotions.history().held]
    assert kinds == [("promote", 1), ("promote", 2), ("outside", 3)]


# Moves by hand.


def test_an_alias_moved_by_hand_is_noticed_and_entered(world: World) -> None:
    world.promotions.promote(1, NOBODY, ANA)
    world.registry.point(MODEL, CHAMPION, 3)
    history = world.promotions.settle("ben@there")
    assert history.last is not None
    assert (history.last.kind, history.last.version, history.last.expected) == ("outside", 3, 1)
    assert history.last.by == "unknown, found by ben@there"
    assert world.champion == (3, 3)
    assert world.promotions.rollback(BEN).version == 1


def test_a_champion_from_before_the_log_is_entered(world: World) -> None:
    world.registry.point(MODEL, CHAMPION, 2)
    with pytest.raises(Overtaken, match="version 2 as champion"):
        world.promotions.promote(3, NOBODY, ANA)
    world.promotions.promote(3, 2, ANA)
    assert [one.kind for one in world.promotions.history().held] == ["outside", "promote"]


def test_a_champion_taken_away_by_hand_is_entered(world: World) -> None:
    world.promotions.promote(1, NOBODY, ANA)
    world.registry.point(MODEL, CHAMPION, NOBODY)
    assert world.promotions.settle("ben@there").champion == NOBODY
    assert world.promotions.rollback(BEN).version == 1
    assert world.champion == (1, 1)


def test_a_strange_alias_that_passes_is_not_entered(world: World) -> None:
    """A promoter that was overtaken may set its alias late, and puts it right at once."""
    world.promotions.promote(1, NOBODY, ANA)
    world.registry.point(MODEL, CHAMPION, 3)

    class Righting(Registry):
        """Right again at the third look: the second is after the wait."""

        def alias(self, name: str, alias: str) -> int:
            found = super().alias(name, alias)
            super().point(name, alias, 1)
            return found

    watched = Promotions(Righting(world.registry.book), MODEL, 0.0)
    assert watched.settle("ben@there").champion == 1
    assert len(world.promotions.history().entries) == 1


def test_a_log_that_something_else_wrote_to_is_one_line(world: World) -> None:
    world.promotions.promote(1, NOBODY, ANA)
    add_version(world.registry, MODEL + LOG_SUFFIX)
    with pytest.raises(CxrError, match=r"version 2 of llava_rad\.promotions, which is no entry"):
        world.promotions.history()


def test_a_log_has_no_champion_of_its_own(world: World) -> None:
    with pytest.raises(InputError, match="which is a log of promotions"):
        Promotions(world.registry, MODEL + LOG_SUFFIX)


def test_aliases_are_found_over_all_models(world: World) -> None:
    number = add_version(world.registry, "medxchat")
    world.registry.point("medxchat", "candidate", number)
    world.registry.point(MODEL, "candidate", 3)
    assert world.registry.aliased("candidate") == {"medxchat": 1, MODEL: 3}
    with pytest.raises(InputError, match="no version '@nobody' of model 'llava_rad'"):
        world.registry.version(MODEL, "@nobody")


# Two at once.


def require_one_winner(tries: list[list[Try]], world: World) -> None:
    for both in tries:
        assert len(both) == 2
        assert sum(one.won for one in both) == 1, both
        [winner] = [one for one in both if one.won]
        [loser] = [one for one in both if not one.won]
        assert f"found version {winner.wanted} as champion" in loser.error
        assert {one.alias for one in both} == {one.champion for one in both} == {winner.wanted}
    history = world.promotions.history()
    assert len(history.held) == len(tries) + 1
    assert all(one.kind == "promote" for one in history.held)
    assert history.missing == ()


def test_of_two_promoters_at_once_exactly_one_wins(world: World) -> None:
    world.promotions.promote(1, NOBODY, ANA)
    require_one_winner(race(world.uri, world.artifacts, 6), world)


@pytest.mark.slow
def test_of_two_promoters_at_once_exactly_one_wins_200_times(world: World) -> None:
    world.promotions.promote(1, NOBODY, ANA)
    require_one_winner(race(world.uri, world.artifacts, 200), world)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[World]:
    """An MLflow server that serves artifacts, with versions 1, 2 and 3 and no champion."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "2"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    quiet = cxr_environment(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
    server = subprocess.Popen(
        command, env=quiet, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 400
        while True:
            assert server.poll() is None and time.monotonic() < deadline
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        world = World(url, None)
        for _ in range(3):
            add_version(world.registry)
        yield world
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.mark.slow
def test_behind_a_server_exactly_one_wins_too(served: World) -> None:
    served.promotions.promote(1, NOBODY, ANA)
    tries = race(served.uri, None, 20)
    require_one_winner(tries, served)
    served.registry.point(MODEL, CHAMPION, NOBODY)
    assert served.promotions.settle("ben@there").champion == NOBODY
    assert served.promotions.rollback(BEN).version == tries[-1][0].champion
