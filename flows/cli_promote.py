"""The commands that decide who is champion: promote, rollback, promotions.

The command line starts with this module, so that what runs is imported when it runs.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli_options import DataRoot, Json
from flows.cli_watch import watch_registry
from infra.errors import InputError

if TYPE_CHECKING:
    from infra.licences import Use
    from infra.registry import Registry
    from infra.store import Store
    from tasks.promote.work import Order

Model = Annotated[str, typer.Argument(help="A registered model's name.")]
Reason = Annotated[str, typer.Option(help="Why, for the log.")]


def promote(
    model: Model,
    version: Annotated[int | None, typer.Option(min=1, help="Of the candidate.")] = None,
    alias: Annotated[str, typer.Option(help="Of the candidate, where no version is given.")] = (
        "candidate"
    ),
    against: Annotated[
        str, typer.Option(help="Alias or version to hold it against; another with --dry-run alone.")
    ] = "champion",
    use: Annotated[
        str | None, typer.Option(help="Wanted use: research, internal, commercial [the gates'].")
    ] = None,
    allow_licence: Annotated[
        list[str] | None,
        typer.Option(help="Source or weights whose use you answer for; repeatable."),
    ] = None,
    gates: Annotated[Path | None, typer.Option(help="File of gates [infra/gates.toml].")] = None,
    reason: Reason = "",
    data_root: DataRoot = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Judge alone: write and promote nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read the options, judge, and promote what passes."""
    from tasks.promote.work import Order

    order = Order(
        model=model,
        version=f"@{alias}" if version is None else str(version),
        against=against if against.isdigit() else f"@{against.removeprefix('@')}",
        use=_use(use),
        allowed=tuple(allow_licence or ()),
        gates=gates,
    )
    store, registry = _open(data_root)
    passed = _promote(store, registry, order, reason, dry_run=dry_run, as_json=as_json)
    if not dry_run:
        _tell_facts(store, data_root)
    if not passed:
        raise typer.Exit(2)


def _tell_facts(store: Store, data_root: str | None) -> None:
    """Facts of aliases at once, and not when somebody next looks at the registry. What was decided
    stands, whether they can be written or not."""
    from infra.errors import CxrError
    from infra.log import LOGGER
    from infra.settings.environment import load_environment
    from tasks.monitor.alias_facts import observe_aliases

    try:
        observe_aliases(store, load_environment(data_root=data_root))
    except (CxrError, OSError) as error:
        LOGGER.warning("facts of aliases wait until 'cxr metrics' looks: %s", error)


def _promote(
    store: Store, registry: Registry, order: Order, reason: str, *, dry_run: bool, as_json: bool
) -> bool:
    """Print what came of it; whether the gate was passed."""
    from tasks.promote.show import entry_text, outcome_text
    from tasks.promote.work import Promoted, judge
    from tasks.promote.work import promote as promote_version

    if dry_run:
        done = Promoted(judge(store, registry, order), None)
    else:
        done = promote_version(store, registry, order, reason)
    if as_json:
        entry = None if done.entry is None else asdict(done.entry)
        print(json.dumps({**done.outcome.to_dict(), "entry": entry}, indent=1))
    else:
        print(outcome_text(done.outcome))
        if done.entry is not None:
            print(entry_text(order.model, done.entry))
    return done.outcome.passed


def rollback(
    model: Model,
    to: Annotated[
        int | None, typer.Option(min=1, help="An earlier champion's version [the one before].")
    ] = None,
    reason: Reason = "",
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Go back."""
    from tasks.promote.show import entry_text
    from tasks.promote.work import rollback as roll_back

    store, registry = _open(data_root)
    entry = roll_back(registry, model, to, reason)
    _tell_facts(store, data_root)
    print(json.dumps(asdict(entry), indent=1) if as_json else entry_text(model, entry))


def promotions(model: Model, data_root: DataRoot = None, as_json: Json = False) -> None:
    """Print the log; nothing is repaired."""
    from infra.promotions import CHAMPION, Promotions
    from tasks.promote.show import history_json, history_text

    _, registry = _open(data_root)
    history = Promotions(registry, model).history()
    alias = registry.alias(model, CHAMPION)
    if as_json:
        print(json.dumps(history_json(model, history, alias), indent=1))
    else:
        print(history_text(model, history, alias))


def add_promotions(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(help="Judge a registered model beside the champion; promote it if it passes.")(
        promote
    )
    app.command(help="Make the champion before the present one champion again.")(rollback)
    app.command(help="Who was champion of a registered model, and why: its log.")(promotions)
    app.command(help="Have each new candidate of the registry judged; a log of deliveries.")(
        watch_registry
    )


def _use(text: str | None) -> Use | None:
    from infra.licences import Use

    if text is not None and text not in list(Use):
        raise InputError(f"--use {text}", f"one of {', '.join(Use)}", "correct it")
    return None if text is None else Use(text)


def _open(data_root: str | None) -> tuple[Store, Registry]:
    from infra.settings.environment import load_environment
    from tasks.context import open_store
    from tasks.promote.work import open_registry

    environment = load_environment(data_root=data_root)
    return open_store(environment, make=False), open_registry(environment)
