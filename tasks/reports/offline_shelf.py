"""Files and batch records of the offline server: in memory, or in a folder that outlives it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from secrets import token_hex
from typing import Any

RECORDS = "records.json"


class Shelf:
    """Records in OpenAI's form by their ids, oldest first, and the bytes of the files."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._bytes: dict[str, bytes] = {}
        self.files: dict[str, dict[str, Any]] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if (folder / RECORDS).exists():
                found = json.loads((folder / RECORDS).read_text())
                self.files, self.batches = found["files"], found["batches"]

    def add_file(self, name: str, purpose: str, data: bytes) -> dict[str, Any]:
        """Keep a file and return its record."""
        record = {
            "id": f"file-{token_hex(12)}",
            "object": "file",
            "bytes": len(data),
            "created_at": int(time.time()),
            "filename": name,
            "purpose": purpose,
            "status": "processed",
        }
        key = str(record["id"])
        if self._folder is None:
            self._bytes[key] = data
        else:
            _write(self._folder / key, data)
        self.files[key] = record
        self.save()
        return record

    def content(self, key: str) -> bytes:
        """A file's bytes; KeyError where there is no such file."""
        if key not in self.files:
            raise KeyError(key)
        return self._bytes[key] if self._folder is None else (self._folder / key).read_bytes()

    def drop_file(self, key: str) -> bool:
        """Forget a file; False where there is none."""
        if self.files.pop(key, None) is None:
            return False
        self.save()
        self._bytes.pop(key, None)
        if self._folder is not None:
            (self._folder / key).unlink(missing_ok=True)
        return True

    def save(self) -> None:
        """Write the records down, where there is a folder."""
        if self._folder is not None:
            records = json.dumps({"files": self.files, "batches": self.batches})
            _write(self._folder / RECORDS, records.encode())


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all; report text is its owner's alone."""
    part = path.with_name(f"{path.name}.part")
    with os.fdopen(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)
    part.replace(path)
