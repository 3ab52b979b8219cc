"""The command that watches the registry for candidates.

The command line starts with this module, so that what runs is imported when it runs.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli_options import DataRoot, Json
from infra.errors import CxrError, InputError, one_line

if TYPE_CHECKING:
    from infra.deliveries import Deliveries, Delivery
    from infra.settings.environment import Environment


def watch_registry(
    deployment: Annotated[
        str | None,
        typer.Option(help="FLOW/DEPLOYMENT that judges a candidate [in this process]."),
    ] = None,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between looks.")] = 15.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, deliver, and end.")] = False,
    listen: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port for MLflow's webhooks, which have it look now."),
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Print the delivery log and end.")] = False,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Show the log, or watch."""
    from infra.settings.environment import load_environment
    from tasks.promote.trigger import open_deliveries

    environment = load_environment(data_root=data_root)
    if log:
        _show(open_deliveries(environment), as_json=as_json)
        return
    woken = threading.Event()
    with ExitStack() as stack:
        if listen is not None:
            _listen(environment, listen, woken, stack)
        _watch(environment, data_root, deployment, None if once else every, woken, stack)
    if once:
        _show(open_deliveries(environment), as_json=as_json)


def _listen(environment: Environment, port: int, woken: threading.Event, stack: ExitStack) -> None:
    from infra.log import LOGGER
    from infra.webhook import LOOPBACK, PATH, receiving

    secret = environment.webhook_secret
    if secret is None:
        raise InputError(
            "--listen without a secret",
            "what MLflow signs with",
            "set CXR_WEBHOOK_SECRET",
        )
    taken = stack.enter_context(receiving(port, secret.get_secret_value(), woken))
    LOGGER.info("webhooks are taken at http://%s:%d%s", LOOPBACK, taken, PATH)


def _watch(
    environment: Environment,
    data_root: str | None,
    deployment: str | None,
    every_s: float | None,
    woken: threading.Event,
    stack: ExitStack,
) -> None:
    """Look and deliver; None ends after one look. A registry that is away is waited for."""
    from infra.log import LOGGER
    from tasks.promote.trigger import deliver_due, look, open_deliveries
    from tasks.promote.work import open_registry

    registry, deliveries = open_registry(environment), open_deliveries(environment)
    start = _starter(environment, data_root, deployment, stack)
    while True:
        woken.clear()
        try:
            look(registry, deliveries)
        except CxrError as error:
            if every_s is None:
                raise
            LOGGER.warning("not looked: %s", error)
        deliver_due(deliveries, start)
        if every_s is None:
            return
        woken.wait(every_s)


def _starter(
    environment: Environment, data_root: str | None, deployment: str | None, stack: ExitStack
) -> Callable[[Delivery], str]:
    """Starts the flow; Prefect is set up on the first delivery."""
    opened: list[bool] = []

    def start(delivery: Delivery) -> str:
        from flows.cli_prefect import prefect_at

        if not opened:
            stack.enter_context(prefect_at(environment, "flows.judge_candidate"))
            opened.append(True)
        from flows.judge_candidate import judge_candidate
        from tasks.promote.task import CandidateOrder, start_deployment

        asked = CandidateOrder(model=delivery.model, version=delivery.version, data_root=data_root)
        if deployment is not None:
            return start_deployment(deployment, asked, delivery)
        return judge_candidate(asked)

    return start


def show_deliveries(
    deliveries: Deliveries, title: str, named: Callable[[Delivery], str], *, as_json: bool
) -> None:
    """Print a log of deliveries.

    Args:
        title: of the last column.
        named: what a delivery is about.
    """
    every = deliveries.all()
    if as_json:
        print(json.dumps([asdict(each) for each in every], indent=1))
        return
    print(f"{'':>4}  {'noticed':<19}  {'state':<9}  {'tries':>5}  {title}")
    for each in every:
        noticed = datetime.fromtimestamp(each.noticed_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        told = one_line(f"{named(each)}: {each.detail or 'not tried yet'}")
        print(f"{each.number:>4}  {noticed}  {each.state:<9}  {each.attempts:>5}  {told}")


def _show(deliveries: Deliveries, *, as_json: bool) -> None:
    def named(each: Delivery) -> str:
        return f"{each.model} version {each.version}"

    show_deliveries(deliveries, "candidate and what came of it", named, as_json=as_json)
