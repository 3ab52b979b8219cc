"""What tests ask a running server by plain HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from serve_world import Running, order, writer_folder

from tasks.serve.keeper import Hands
from tasks.serve.limits import Limits
from tasks.serve.work import ServeOrder

LIMITS = Limits(waiting=2, body_bytes=200_000, body_seconds=1.0, idle_seconds=2.0)


class Reply(NamedTuple):
    status: int
    body: bytes
    headers: Any

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])


def ask(
    server: Running,
    path: str,
    body: bytes | dict[str, Any] | None = None,
    token: str | None = None,
    method: str | None = None,
    **headers: str,
) -> Reply:
    raw = json.dumps(body).encode() if isinstance(body, dict) else body
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    told |= {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(server.url + path, raw, told, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return Reply(reply.status, reply.read(), reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read(), error.headers)


def form(**parts: bytes | str) -> tuple[bytes, str]:
    """A form's body and type; names with a number at their end come without it."""
    lines = b""
    for name, value in parts.items():
        content = value.encode() if isinstance(value, str) else value
        head = f'--edge\r\nContent-Disposition: form-data; name="{name.rstrip("12")}"'
        head += '; filename="a.png"' if isinstance(value, bytes) else ""
        lines += head.encode() + b"\r\n\r\n" + content + b"\r\n"
    return lines + b"--edge--\r\n", "multipart/form-data; boundary=edge"


def upload(server: Running, token: str, **parts: bytes | str) -> Reply:
    body, kind = form(**parts)
    return ask(server, "/v1/findings", body, token, Content_Type=kind)


def guarded(root: Path, token_file: Path) -> ServeOrder:
    """A server beyond loopback, which asks for tokens, with narrow limits."""
    return order(
        root,
        model=str(writer_folder(root / "cxr")),
        host="0.0.0.0",
        token_file=token_file,
        hands=Hands(slots=2, device="cpu"),
        limits=LIMITS,
    )
