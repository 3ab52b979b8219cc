"""A receiver of MLflow's webhooks: whoever signs with the secret wakes the watcher up.

MLflow signs ``<delivery id>.<time>.<body>`` by HMAC-SHA256 and sends the signature in a header (its
webhooks follow the Standard Webhooks convention). What a webhook says is not believed: it only has
the registry looked at sooner, so that a lost, late or doubled one does no harm.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from infra.errors import InputError
from infra.log import LOGGER

PATH: Final = "/mlflow"
LOOPBACK: Final = "127.0.0.1"
LONGEST_BYTES: Final = 64 * 1024
"""Our choice: MLflow's payloads of aliases have some hundred bytes."""
OLDEST_S: Final = 300.0
"""A signature's age: the convention's five minutes."""
_PATIENCE_S: Final = 10.0  # for a slow sender (our choice)


def is_signed(secret: str, headers: Mapping[str, str | None], body: bytes, now: float) -> bool:
    """Whether the body was signed with the secret, and not too long ago.

    Args:
        now: seconds since 1970.
    """
    names = ("Delivery-Id", "Timestamp", "Signature")
    delivery, sent, signature = (headers.get(f"X-MLflow-{name}") or "" for name in names)
    if not sent.isascii() or not sent.isdecimal() or abs(now - int(sent)) > OLDEST_S:
        return False
    content = f"{delivery}.{sent}.".encode() + body
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    wanted = f"v1,{base64.b64encode(digest).decode()}"
    return hmac.compare_digest(wanted.encode(), signature.encode())


class _Server(ThreadingHTTPServer):
    """Takes webhooks on the loopback; ``woken`` is set by each that is signed."""

    daemon_threads = True

    def __init__(self, port: int, secret: str, woken: threading.Event) -> None:
        self.secret, self.woken = secret, woken
        super().__init__((LOOPBACK, port), _Receiver)


class _Receiver(BaseHTTPRequestHandler):
    """One request; the answer has a status and no body."""

    server: _Server
    timeout = _PATIENCE_S

    def do_POST(self) -> None:
        self.send_response(self._status())
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def _status(self) -> HTTPStatus:
        if self.path != PATH:
            return HTTPStatus.NOT_FOUND
        length = self.headers.get("Content-Length") or ""
        if not length.isascii() or not length.isdecimal():
            return HTTPStatus.LENGTH_REQUIRED
        if int(length) > LONGEST_BYTES:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        body = self.rfile.read(int(length))
        if not is_signed(self.server.secret, dict(self.headers), body, time.time()):
            return HTTPStatus.UNAUTHORIZED
        self.server.woken.set()
        return HTTPStatus.NO_CONTENT

    def log_message(self, format: str, *_: object) -> None:
        """What strangers send stays out of the log."""
        del format
        LOGGER.debug("webhook from %s", self.client_address[0])


@contextmanager
def receiving(port: int, secret: str, woken: threading.Event) -> Iterator[int]:
    """Within the block webhooks at PATH on the loopback set ``woken``; gives the port.

    Args:
        port: 0 for any that is free.

    Raises:
        InputError: it is taken.
    """
    try:
        server = _Server(port, secret, woken)
    except OSError as error:
        raise InputError(
            f"port {port} on {LOOPBACK} ({error.strerror})", "one that is free", "name another"
        ) from None
    thread = threading.Thread(target=server.serve_forever, name="webhook", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
