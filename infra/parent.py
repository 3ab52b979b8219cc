"""The parent's side of a child process: its run goes in, what it tells of itself comes out.

``infra.child`` is the other side, ``infra.launch`` what lies between them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.launch import HERE, Event, Nodes, run_module
from infra.runs import write_run
from infra.settings.sections import Section


def run_in_child(
    module: str,
    run: Section,
    folder: Path,
    on_event: Callable[[Event], None],
    *,
    processes: int = 1,
    nodes: Nodes = HERE,
    launched: bool = False,
    saves: bool = False,
) -> dict[str, Any]:
    """Have ``module`` do ``run``; the values of its event ``done``, none if it told none here.

    Args:
        folder: gets ``run.json`` and ``stderr.log``.
        on_event: called with every event.
        processes, nodes, launched: as ``command_for`` takes them.
        saves: as ``run_module`` takes it.

    Raises:
        InputError, ChildFailed: as ``run_module``.
    """
    told: dict[str, Any] = {}

    def follow(event: Event) -> None:
        if event["event"] == "done":
            told.update({name: value for name, value in event.items() if name != "event"})
        on_event(event)

    write_run(run, folder / "run.json")
    run_module(
        module,
        folder / "run.json",
        follow,
        processes=processes,
        nodes=nodes,
        launched=launched,
        log_file=folder / "stderr.log",
        saves=saves,
    )
    return told


def ignore_event(event: Event) -> None:
    """The ``on_event`` of a caller that does not watch."""
    del event
