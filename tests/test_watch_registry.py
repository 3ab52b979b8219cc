"""The command that has new candidates judged: what it notices, starts, records and refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_world import Say

from infra.deliveries import Deliveries, Delivery
from infra.errors import InputError
from infra.promotion_log import NOBODY
from infra.promotions import CHAMPION
from infra.settings.environment import load_environment
from infra.tracking_database import make_database
from tasks.promote.trigger import deliver_due, look, open_deliveries
from tests.promote_world import PromoteWorld, Told, always, rarely
from tests.registry_world import MODEL, add_version
from tests.small_world import cxr as run_cxr

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own tables

PATIENT = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "400"}
"""For a machine on which much else runs."""


@pytest.fixture
def world(tmp_path: Path) -> PromoteWorld:
    make_database(f"sqlite:///{tmp_path / 'data' / '.state' / 'mlflow' / 'mlflow.db'}")
    return PromoteWorld(tmp_path / "data")


def log_of(world: PromoteWorld) -> Deliveries:
    return open_deliveries(load_environment(data_root=str(world.root)))


def test_a_candidate_is_noticed_when_it_is_set_and_when_it_moves(
    world: PromoteWorld, cxr: Say
) -> None:
    log, registry = log_of(world), world.registry
    first, second = add_version(registry), add_version(registry)
    assert look(registry, log) == []
    registry.point(MODEL, CHAMPION, first)
    assert look(registry, log) == [], "a champion is no candidate"
    registry.point(MODEL, "candidate", first)
    assert [one.version for one in look(registry, log)] == [first]
    assert look(registry, log) == []
    registry.point(MODEL, "candidate", second)
    assert [one.version for one in look(registry, log)] == [second]
    registry.point(MODEL, "candidate", NOBODY)
    assert look(registry, log) == []
    started: list[int] = []

    def start(delivery: Delivery) -> str:
        started.append(delivery.version)
        return "llava_rad version 2: passed\x1b[2J"

    assert deliver_due(log, start) == 0, "both were overtaken"
    registry.point(MODEL, "candidate", second)
    look(registry, log)
    assert (deliver_due(log, start), started) == (1, [second])
    said = cxr("watch-registry", "--log", "--data-root", world.root)
    assert said.code == 0
    assert [line.split()[3] for line in said.out.splitlines()[1:]] == [
        "overtaken",
        "overtaken",
        "delivered",
    ]
    assert "\x1b" not in said.out
    told = json.loads(cxr("watch-registry", "--log", "--json", "--data-root", world.root).out)
    assert [one["version"] for one in told] == [first, second, second]


def test_to_listen_needs_a_secret(cxr: Say, tmp_path: Path) -> None:
    said = cxr("watch-registry", "--listen", "0", "--data-root", tmp_path)
    assert said.code == 2
    assert said.err == (
        "error: found --listen without a secret; expected what MLflow signs with; "
        "set CXR_WEBHOOK_SECRET\n"
    )


def test_to_watch_needs_a_registry(cxr: Say, tmp_path: Path) -> None:
    said = cxr("watch-registry", "--once", "--data-root", tmp_path / "empty")
    assert said.code == 2
    assert said.err.startswith("error: found no registry at sqlite:")


@pytest.mark.slow
def test_the_flow_judges_each_new_candidate_once(world: PromoteWorld) -> None:
    world.register(Told(), CHAMPION)
    worse = world.register(Told(rarely))
    words = ("watch-registry", "--once", "--json", "--data-root", str(world.root))
    for _ in range(2):
        done = run_cxr(*words, **PATIENT)
        assert done.returncode == 0, done.stderr[-3000:]
        [delivery] = json.loads(done.stdout)
        assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)
        assert delivery["detail"] == "llava_rad version 2 against version 1: refused"
    tags = world.registry.version(MODEL, str(worse)).tags
    assert tags["cxrflow.gate"] == "refused"
    assert world.registry.alias(MODEL, CHAMPION) == 1, "judged, not promoted"
    world.register(Told(always))
    done = run_cxr(*words, **PATIENT)
    assert [one["detail"] for one in json.loads(done.stdout)][1:] == [
        "llava_rad version 3 against version 1: passed"
    ]


@pytest.mark.slow
def test_a_candidate_that_cannot_be_judged_waits_with_the_reason(world: PromoteWorld) -> None:
    number = add_version(world.registry)
    world.registry.point(MODEL, "candidate", number)
    words = ("watch-registry", "--once", "--json", "--data-root", str(world.root))
    done = run_cxr(*words, **PATIENT)
    assert done.returncode == 0, done.stderr[-3000:]
    [delivery] = json.loads(done.stdout)
    assert (delivery["state"], delivery["attempts"]) == ("waiting", 1)
    assert delivery["detail"].startswith("found models:/llava_rad/1 without a tag")


@pytest.fixture
def prefect() -> Iterator[None]:
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=400):
        yield


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_deployment_is_started_once_for_each_delivery(prefect: None, world: PromoteWorld) -> None:
    from flows.judge_candidate import judge_candidate
    from tasks.promote.task import CandidateOrder, start_deployment

    deployment = judge_candidate.to_deployment("by-hand")
    deployment.apply()  # type: ignore[union-attr]
    log = log_of(world)
    [delivery] = log.notice({MODEL: 3}, 0.0)
    asked = CandidateOrder(model=MODEL, version=3, data_root=str(world.root))
    told = [start_deployment("judge candidate/by-hand", asked, delivery) for _ in range(2)]
    assert told[0] == told[1], "Prefect knows the delivery's key"
    assert told[0].endswith(" of judge candidate/by-hand")
    with pytest.raises(InputError, match="no deployment 'judge candidate/nowhere'"):
        start_deployment("judge candidate/nowhere", asked, delivery)
