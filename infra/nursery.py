"""``python -m infra.nursery FD``: has children's libraries loaded, and forks a child when asked.

A child of ``infra.launch`` spends some ten seconds of processor time on importing PyTorch and what
stands on it before its own first line; a small recipe starts twenty of them. This process imports
once, and none of our own code: a child imports that itself, as fresh as if it had been started
alone. It starts no thread and touches no GPU, whose driver would not survive a fork
(``infra.warm_start`` starts none where there is one).

Over the socket FD (its peer is ``infra.warm_start``), a message each way at a time:

    ◀ a word, with a file of {"module", "argument", "folder", "environment"} (which may be larger
      than a message) and the child's stdin, stdout and stderr
    ▶ {"ready": true} once, {"started": pid} for each request, {"ended": pid, "code": code}

When the peer is gone this process ends at once; children have a lifeline of their own.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import importlib
import json
import os
import runpy
import select
import socket
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path

LIBRARIES = (
    "torch",
    "pyarrow.parquet",
    "pyarrow.compute",
    "pydantic",
    "psutil",
    "safetensors.torch",
    "transformers.trainer",
    "transformers.models.bert.modeling_bert",
    "transformers.models.clip.modeling_clip",
    "transformers.models.llama.modeling_llama",
    "peft",
    "datasets",
    "deepspeed",
    "diffusers.models.autoencoders.autoencoder_kl",
    "diffusers.models.controlnets.controlnet",
    "diffusers.models.unets.unet_2d_condition",
    "diffusers.schedulers.scheduling_ddim",
)
"""What children import sooner or later; a test holds it to what they do import."""
MESSAGE_BYTES = 1024
"""More than any message has."""
_STREAMS = 3


class _Child(BaseException):
    """Raised in a forked child, to leave the nursery's own frames and work behind."""

    def __init__(self, module: str, argument: str) -> None:
        self.module, self.argument = module, argument


def main(descriptor: int) -> None:
    """Load, then serve until the peer is gone."""
    channel = socket.socket(fileno=descriptor)
    try:
        _serve(channel)
    except _Child as child:
        asked = child
    else:
        os._exit(0)  # it has nothing to write, and taking apart all that is loaded takes seconds
    sys.argv = [asked.module, asked.argument]
    try:
        runpy.run_module(asked.module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            raise
        _leave(end.code or 0)


def _leave(code: int) -> None:
    """End as the interpreter does, but for taking apart all that is loaded, which takes seconds:
    threads are waited for, what was asked to be done at the end is done, and streams are flushed,
    in its own order (``Py_FinalizeEx``)."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):
            stream.flush()
    os._exit(code)


def _serve(channel: socket.socket) -> None:
    with _ended_by_peer(channel):
        _load()
    channel.send(json.dumps({"ready": True}).encode())
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    watched: dict[int, int] = {}  # a child's descriptor of its process → its number
    while True:
        for found, _ in poll.poll():
            if found == channel.fileno():
                pid = _next_child(channel, watched)
                if pid is None:
                    return
                watch = os.pidfd_open(pid)
                watched[watch] = pid
                poll.register(watch, select.POLLIN)
            else:
                poll.unregister(found)
                os.close(found)
                _tell_end(channel, watched.pop(found))


class _ended_by_peer:  # noqa: N801  (used as a block)
    """Inside the block a peer that is gone ends this process, whatever it does: its default answer
    to SIGIO. The peer sends nothing before it has been told that this one is ready."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel

    def __enter__(self) -> None:
        fcntl.fcntl(self.channel, fcntl.F_SETOWN, os.getpid())
        self.flags = fcntl.fcntl(self.channel, fcntl.F_GETFL)
        fcntl.fcntl(self.channel, fcntl.F_SETFL, self.flags | os.O_ASYNC)
        if select.select([self.channel], [], [], 0)[0]:  # it was gone before
            sys.exit(0)

    def __exit__(self, *_: object) -> None:
        fcntl.fcntl(self.channel, fcntl.F_SETFL, self.flags)


def _load() -> None:
    """A library that cannot be loaded is left to the child, which says why in its own words."""
    for name in LIBRARIES:
        with suppress(Exception):
            importlib.import_module(name)


def _next_child(channel: socket.socket, watched: dict[int, int]) -> int | None:
    """Fork what the next message asks for; None when the peer is gone."""
    word, handed, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 1 + _STREAMS)
    if not word:
        return None
    file, *streams = handed
    with os.fdopen(file) as told:
        asked = json.load(told)
    with warnings.catch_warnings():
        # Python 3.12 counts threads: of linear algebra and of Arrow, which both stand a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        channel.close()
        for each in watched:
            os.close(each)
        _be_child(asked["folder"], asked["environment"], streams)
        _show_as([sys.executable, "-m", asked["module"], asked["argument"]])
        raise _Child(asked["module"], asked["argument"])
    for each in streams:
        os.close(each)
    channel.send(json.dumps({"started": pid}).encode())
    return pid


def _be_child(folder: str, environment: dict[str, str], streams: list[int]) -> None:
    """A session of its own, and the streams and variables that it was given."""
    os.setsid()
    for place, each in enumerate(streams):
        os.dup2(each, place)
    for each in streams:
        if each >= _STREAMS:
            os.close(each)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)


def _show_as(command: list[str]) -> None:
    """Stand in the list of processes as if started by that command.

    What the system shows is the memory of the nursery's own command line, which
    ``infra.warm_start`` makes long enough; /proc/self/stat tells where it lies (fields 48 and 49 in
    ``man proc_pid_stat``).
    """
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # the third field of all is the first of these
    line = b"".join(os.fsencode(word) + b"\0" for word in command)
    if 0 < start < end:
        ctypes.memmove(start, line[: end - start - 1].ljust(end - start, b"\0"), end - start)


def _tell_end(channel: socket.socket, pid: int) -> None:
    _, status = os.waitpid(pid, 0)
    told = {"ended": pid, "code": os.waitstatus_to_exitcode(status)}
    with suppress(OSError):  # the peer is gone, which is found next
        channel.send(json.dumps(told).encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
