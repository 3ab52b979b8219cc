"""Progress and counts of a step that asks a language model, in Prefect while it runs.

Answers arrive on the client's event loop, which must not wait for a server. So the step leaves two
numbers here, and a thread of its own shows them every few seconds, with the ledger's counts.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.exceptions import PrefectException

from infra.llm.status import WorkCounts, read_status
from infra.log import LOGGER
from tasks.monitor.states import Progress, artifact_key

TELL_EVERY_SECONDS = 5.0
"""Our choice: two requests to the server; a step that ends sooner makes them once."""


class LiveCounts:
    """A context manager around a step.

    Args:
        what: what makes progress; also names the table's artifact.
        chosen: which of the ledger's counts are shown.
    """

    def __init__(self, what: str, state: Path, chosen: Callable[[WorkCounts], bool]) -> None:
        self._what, self._state, self._chosen = what, state, chosen
        self._progress = Progress(what)
        self._parts, self._inside = (0, 0), 0.0
        self._table: UUID | None = None
        self._shown: list[dict[str, Any]] = []
        self._stop = threading.Event()

    def on_piece(self, done: int, total: int) -> None:
        """So many of the step's pieces are finished."""
        self._parts, self._inside = (done, total), 0.0

    def on_answer(self, done: int, total: int) -> None:
        """So many requests of the piece at hand are answered."""
        self._inside = done / max(1, total)

    def __enter__(self) -> LiveCounts:
        self._shown = self._rows()
        run_in_flow = copy_context().run  # so that Prefect knows whose artifacts they are
        self._thread = threading.Thread(
            target=run_in_flow, args=(self._tell_regularly,), name="live counts", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._tell()

    def _tell_regularly(self) -> None:
        while not self._stop.wait(TELL_EVERY_SECONDS):
            self._tell()

    def _tell(self) -> None:
        """Show what has changed; a server that does not listen is no reason to stop the step."""
        try:
            done, total = self._parts
            if total:
                self._progress(round(1000 * min(done + self._inside, total)), 1000 * total)
            rows = self._rows()
            if rows != self._shown:
                self._show(rows)
                self._shown = rows
        except (PrefectException, httpx.HTTPError, OSError) as error:
            LOGGER.warning("%s: not shown in Prefect (%s)", self._what, type(error).__name__)

    def _rows(self) -> list[dict[str, Any]]:
        """The ledger's counts of all processes of this data root, since it was made."""
        return [_row(row) for row in read_status(self._state).work if self._chosen(row)]

    def _show(self, rows: list[dict[str, Any]]) -> None:
        if self._table is None:
            key = artifact_key(f"language-model-{self._what}")
            created = create_table_artifact(rows, key, description=self._what)
            assert isinstance(created, UUID)
            self._table = created
            return
        with get_client(sync_client=True) as client:
            client.update_artifact(self._table, ArtifactUpdate(data=json.dumps(rows)))


def _row(row: WorkCounts) -> dict[str, Any]:
    return {
        "source": row.source,
        "task": row.task,
        "model": row.model,
        "sent": row.sent,
        "kept": row.kept,
        "failed": ", ".join(f"{why} {number}" for why, number in row.failed.items()) or "none",
        "in flight": row.in_flight,
        "lost": row.lost,
        "answered before": row.replayed,
        "tokens in": row.input_tokens,
        "tokens out": row.output_tokens,
        "cost in dollars": round(row.cost_usd, 6),
    }
