"""The receiver of MLflow's webhooks: signed by MLflow's own code, refused in every other case."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from infra.errors import InputError
from infra.webhook import LONGEST_BYTES, OLDEST_S, PATH, is_signed, receiving

SECRET = "a secret of sixteen letters"
BODY = json.dumps({"entity": "model_version_alias", "action": "created"}).encode()


def signed(body: bytes = BODY, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    """Headers as MLflow sends them."""
    from mlflow.webhooks.delivery import _generate_hmac_signature

    sent = str(int(time.time() if at is None else at))
    return {
        "X-MLflow-Delivery-Id": "d1",
        "X-MLflow-Timestamp": sent,
        "X-MLflow-Signature": _generate_hmac_signature(secret, "d1", sent, body.decode()),
    }


class Receiver(NamedTuple):
    port: int
    woken: threading.Event

    def post(self, headers: dict[str, str], body: bytes = BODY, path: str = PATH) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", path, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    woken = threading.Event()
    with receiving(0, SECRET, woken) as port:
        yield Receiver(port, woken)


def test_what_mlflow_signs_wakes_the_watcher(receiver: Receiver) -> None:
    assert receiver.post(signed()) == 204
    assert receiver.woken.is_set()


@pytest.mark.parametrize(
    "headers",
    [
        dict,
        lambda: signed(secret="another secret of letters"),
        lambda: signed(body=b"{}"),
        lambda: signed(at=time.time() - OLDEST_S - 60),
        lambda: {**signed(), "X-MLflow-Timestamp": "yesterday"},
        lambda: {**signed(), "X-MLflow-Delivery-Id": "d2"},
        lambda: {**signed(), "X-MLflow-Signature": "v1,"},
    ],
)
def test_what_is_not_signed_does_not(
    receiver: Receiver, headers: Callable[[], dict[str, str]]
) -> None:
    assert receiver.post(headers()) == 401
    assert not receiver.woken.is_set()


def test_other_paths_and_great_bodies_are_refused(receiver: Receiver) -> None:
    assert receiver.post(signed(), path="/") == 404
    great = b"x" * (LONGEST_BYTES + 1)
    assert receiver.post({**signed(great), "Content-Length": str(len(great))}, b"x") == 413
    assert receiver.post({**signed(), "Content-Length": "-1"}, b"") == 411
    assert not receiver.woken.is_set()


def test_a_get_is_refused(receiver: Receiver) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=30)
    connection.request("GET", PATH)
    assert connection.getresponse().status == 501
    connection.close()


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(InputError, match=f"found port {port} on 127.0.0.1"),
            receiving(port, SECRET, threading.Event()),
        ):
            pass


def test_a_signature_is_of_one_body_one_time_and_one_delivery() -> None:
    now = time.time()
    assert is_signed(SECRET, signed(), BODY, now)
    assert not is_signed(SECRET, signed(), BODY + b" ", now)
    assert not is_signed(SECRET, signed(), BODY, now + OLDEST_S + 2)
    assert not is_signed(SECRET, {}, b"", now)
