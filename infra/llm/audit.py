"""An append-only log of what left for a language model: when, whose, where to; never the text.

Two JSON lines per request: ``sent`` before the first byte leaves, ``answered`` with the tokens.
Each is one write to a file opened for appending, so lines of several processes do not mix. A line
that could not be written whole is an error, and the next one begins on a line of its own.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from errno import ENOSPC
from pathlib import Path

import pydantic_core

from infra.egress import Guarantee

AUDIT_FILE = "llm-audit.jsonl"


class AuditLog:
    """The log of one state folder, for one endpoint."""

    def __init__(self, state_dir: Path, host: str, guarantee: Guarantee) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self.path = state_dir / AUDIT_FILE
        self._place = {"endpoint": host, "guarantee": str(guarantee)}
        self._file = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600)
        self._closed, self._is_torn = False, not self._ends_whole()

    def sent(self, source: str, request_hash: str, model: str) -> None:
        """Note that text of ``source`` is about to leave."""
        self._write({"event": "sent", "source": source, "request": request_hash, "model": model})

    def answered(
        self, source: str, request_hash: str, outcome: str, input_tokens: int, output_tokens: int
    ) -> None:
        """Note how it ended and what was counted."""
        self._write(
            {
                "event": "answered",
                "source": source,
                "request": request_hash,
                "outcome": outcome,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
            }
        )

    def _write(self, entry: dict[str, str | int]) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = pydantic_core.to_json({"at": at, **entry, **self._place}) + b"\n"
        line = b"\n" + line if self._is_torn else line
        self._is_torn = os.write(self._file, line) < len(line)
        if self._is_torn:
            raise OSError(ENOSPC, os.strerror(ENOSPC), str(self.path))

    def _ends_whole(self) -> bool:
        """Whether the last line is whole: a full disk cuts lines, and may cut one in two."""
        size = os.fstat(self._file).st_size
        return size == 0 or os.pread(self._file, 1, size - 1) == b"\n"

    def close(self) -> None:
        """Close the file; a second time does nothing, its number may be another's by then."""
        if not self._closed:
            self._closed = True
            os.close(self._file)
