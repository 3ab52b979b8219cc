"""The lines of a batch's files: requests going in, outcomes coming out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from infra.llm.transport import TRANSIENT_STATUS, Reply, Transient, read_reply

MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000
"""What OpenAI documents for one input file: 50,000 requests, 200 MB (taken as 10^6 bytes)."""
KNOWN_CODES = frozenset({"batch_expired", "batch_cancelled"})


@dataclass(frozen=True)
class Outcome:
    """What a line says of its request: a reply, or the code of a failure.

    ``is_final`` failures would come again in another batch: the request itself was refused.
    """

    reply: Reply | None
    code: str = ""
    is_final: bool = False


def request_line(key: str, url: str, body: dict[str, Any]) -> bytes:
    """One request of an input file, its line end included."""
    row = {"custom_id": key, "method": "POST", "url": url, "body": body}
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def split_by_size(
    sizes: Iterable[tuple[str, int]],
    most_requests: int = MOST_REQUESTS,
    most_bytes: int = MOST_BYTES,
) -> list[list[str]]:
    """Requests in files of the sizes that are allowed, from their lines' sizes in bytes."""
    groups: list[list[str]] = []
    used = most_bytes
    for key, size in sizes:
        if not groups or used + size > most_bytes or len(groups[-1]) == most_requests:
            groups.append([])
            used = 0
        groups[-1].append(key)
        used += size
    return groups


def read_line(line: bytes) -> tuple[str, Outcome] | None:
    """A line of an output or error file: the request's hash and its outcome; None if damaged."""
    try:
        row = json.loads(line)
        key, response = row["custom_id"], row.get("response")
        if not isinstance(key, str):
            return None
        if response is None:
            code = row["error"]["code"]
            return key, Outcome(None, code.replace("_", "-") if code in KNOWN_CODES else "error")
        status = int(response["status_code"])
        if status == 200:
            return key, Outcome(read_reply(json.dumps(response["body"]).encode()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    except (RecursionError, OverflowError, Transient):
        return None
    is_final = 400 <= status < 500 and status not in TRANSIENT_STATUS
    return key, Outcome(None, f"status-{status}", is_final)
