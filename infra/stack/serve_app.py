"""Serve an ASGI application on a listening socket that this process was given.

    python -m infra.stack.serve_app MODULE:NAME FD [factory]

The supervisor keeps the socket. While a killed server is started again, callers wait in the
socket's queue instead of being turned away, so that a run does not notice.
"""

from __future__ import annotations

import socket
import sys

import uvicorn

_KEEP_ALIVE_SECONDS = 60
"""Above the 5 s after which Prefect's and MLflow's clients drop an idle connection, so that none is
closed under a request."""


def main() -> None:
    """Serve until a signal ends the process."""
    name, number, *kind = sys.argv[1:]
    settings = uvicorn.Config(
        name,
        factory=bool(kind),
        log_level="warning",
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(settings).run(sockets=[socket.socket(fileno=int(number))])


if __name__ == "__main__":
    main()
