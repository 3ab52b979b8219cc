"""The stack's folder, its process table, and what a shell is told of it."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from cli_world import Say

from flows.deployments import read_plan
from infra.errors import InputError
from infra.orphans import MARK
from infra.stack.addresses import addresses, write_shell_file
from infra.stack.place import PORTED, Place, make_place, read_place
from infra.stack.postgres import account_for, programs, server_command
from infra.stack.scraping import write_scraping
from infra.stack.supervise import Supervisor
from infra.stack.table import FD, Service, table


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path / "stack")


@pytest.fixture
def services(place: Place) -> dict[str, Service]:
    return {service.name: service for service in table(place, ("true",))}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_ports_and_passwords_are_chosen_once(place: Place) -> None:
    again = make_place(place.root)
    assert (again.ports, again.passwords, again.mark) == (place.ports, place.passwords, place.mark)
    assert set(place.ports) == set(PORTED)
    assert len(set(place.ports.values())) == len(PORTED)
    assert len(set(place.passwords.values())) == len(place.passwords)
    assert read_place(place.root) == place


def test_a_folder_without_a_stack_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found no stack at .*; expected a folder that 'make"):
        read_place(tmp_path)


def test_what_holds_a_password_is_for_its_owner_alone(place: Place) -> None:
    write_shell_file(place)
    write_scraping(place)
    secrets = list(place.passwords.values())
    holding = [
        path
        for path in place.root.rglob("*")
        if path.is_file() and any(secret in path.read_text() for secret in secrets)
    ]
    names = {path.relative_to(place.root).as_posix() for path in holding}
    assert names == {"secrets.json", "env.sh", "prometheus/prefect.password"}
    assert {mode(path) for path in holding} == {0o600}
    assert mode(place.root) == 0o711
    for name in ("logs", "objects", "prefect", "state", "prometheus"):
        assert mode(place.root / name) == 0o700


def test_no_password_stands_on_a_command_line_or_in_a_repr(
    place: Place, services: dict[str, Service]
) -> None:
    for service in services.values():
        shown = [*service.command, repr(service)]
        assert not [word for word in shown for secret in place.passwords.values() if secret in word]


def test_what_a_process_needs_stands_before_it(services: dict[str, Service]) -> None:
    before: list[str] = []
    for service in services.values():
        assert set(service.needs) <= set(before), service.name
        before.append(service.name)
    assert {"worker-cpu", "worker-gpu", "deploy"} <= set(before)


def test_every_port_is_on_loopback_and_has_one_process(
    place: Place, services: dict[str, Service]
) -> None:
    found = {service.port: service.name for service in services.values() if service.port}
    assert {name: port for port, name in found.items()}.items() <= place.ports.items()
    words = " ".join(word for service in services.values() for word in service.command)
    assert "0.0.0.0" not in words
    held = {service.name for service in services.values() if FD in service.command}
    assert held == {"objects", "prefect", "mlflow"}


def test_processes_are_marked_but_postgres_which_is_found_otherwise(
    place: Place, services: dict[str, Service]
) -> None:
    marked = {name for name, service in services.items() if MARK in service.environment}
    assert marked == set(services) - {"postgres"}
    assert {services[name].environment[MARK] for name in marked} == {place.mark}


def test_a_persons_own_servers_are_left_out(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_PROFILE", "mine")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("CXR_DATA_ROOT", "elsewhere")
    monkeypatch.setenv("CXR_SOURCE_OPENI", "raw")
    worker = {service.name: service for service in table(place, ("true",))}["worker-cpu"]
    assert not {"PREFECT_PROFILE", "AWS_PROFILE"} & worker.environment.keys()
    assert worker.environment["CXR_DATA_ROOT"] == "s3://cxrflow/data"
    assert worker.environment["CXR_SOURCE_OPENI"] == "raw"


def test_a_shell_that_sources_the_file_has_the_addresses(place: Place) -> None:
    write_shell_file(place)
    done = subprocess.run(
        ["sh", "-c", f". '{place.root}/env.sh' && env -0"],
        env={"PATH": os.defpath, "AWS_PROFILE": "mine"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    assert addresses(place).items() <= found.items()
    assert "AWS_PROFILE" not in found


def test_mlflows_own_server_reads_what_ours_is_told(services: dict[str, Service]) -> None:
    """These names are MLflow's own affair, and another version may change them."""
    spec = find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "server" / "constants.py").read_text()
    known = re.findall(r'^[A-Z_]+ = "(\w+)"', text, re.MULTILINE)
    told = [name for name in services["mlflow"].environment if name.startswith("_MLFLOW_SERVER")]
    assert len(told) == 3
    assert set(told) <= set(known)


def test_postgres_says_no_statement_in_its_log(place: Place) -> None:
    command = server_command(place, account_for([programs() / "postgres"]))
    assert {"log_min_error_statement=panic", "log_statement=none"} <= set(command)
    assert "listen_addresses=127.0.0.1" in command


def test_root_runs_postgres_as_another_user(tmp_path: Path) -> None:
    """Below pytest's own folder, through which only root may pass."""
    account = account_for([programs() / "postgres", tmp_path])
    done = subprocess.run(
        [*account.before, "sh", "-c", f"id -u; test -x '{tmp_path}' && echo passes"],
        capture_output=True,
        text=True,
        check=True,
    )
    user, passes = done.stdout.split()
    assert passes == "passes"
    assert user != "0"
    assert (account.user is None) == (os.geteuid() != 0)


def test_prometheus_is_told_of_servers_and_rules(place: Place) -> None:
    write_scraping(place)
    told = json.loads((place.root / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in told["scrape_configs"]}
    assert jobs["prefect"]["static_configs"][0]["targets"] == [
        f"127.0.0.1:{place.ports['prefect']}"
    ]
    assert (place.root / "prometheus" / "targets").is_dir()
    assert jobs["cxrflow"]["static_configs"][0]["targets"] == [
        f"127.0.0.1:{place.ports['metrics']}"
    ]


def test_numbers_are_served_where_prometheus_asks(services: dict[str, Service]) -> None:
    metrics = services["metrics"]
    assert metrics.command[3:] == ("metrics", "--port", str(metrics.port))
    assert metrics.health == "/metrics"
    assert metrics.environment["CXR_DATA_ROOT"].startswith("s3://")


def test_raw_data_is_watched_where_there_is_any(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("CXR_SOURCE_")]:
        monkeypatch.delenv(name)
    assert "watch-files" not in {service.name for service in table(place, ("true",))}
    monkeypatch.setenv("CXR_SOURCE_OPENI", "/raw/openi")
    watcher = {service.name: service for service in table(place, ("true",))}["watch-files"]
    assert watcher.command[3:] == ("watch-files", "--deployment", "backfill/backfill")
    assert watcher.environment["CXR_SOURCE_OPENI"] == "/raw/openi"
    names = {each.name for each in read_plan().deployments}
    assert watcher.command[-1].partition("/")[2] in names


def test_words_of_cxr_in_the_table_are_a_command(cxr: Say, place: Place) -> None:
    for service in table(place, ("true",)):
        if "from flows.cli import main; main()" in service.command:
            assert cxr(*service.command[3:], "--help").code == 0


def test_a_taken_port_is_one_clear_line(place: Place, services: dict[str, Service]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", place.ports["mlflow"]))
        with pytest.raises(InputError, match=r"found port \d+ of mlflow taken by another program;"):
            Supervisor(place, [services["mlflow"]])
