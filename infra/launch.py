"""Start a module as a child process, follow its JSON lines, and stop its whole process tree.

Training and inference run so, which keeps torch out of the orchestrating process and lets a
killed trainer fail its task instead of the flow. The other way round, a child's stdin is its
lifeline: the parent writes nothing there, and when the parent dies, however it dies, the system
closes it and the child ends too (``end_with_parent``): at once, or, if it was asked to save and
leave (``infra.stopping``), when it has, or when the grace has passed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeAlias

import psutil

from infra.errors import EXIT_BAD_INPUT, CxrError, InputError, Stopped
from infra.fingerprint import HOUSE
from infra.log import LOGGER
from infra.stopping import GRACE_SECONDS, ask_to_stop, forget_request, is_asked_to_stop
from infra.warm_start import Forked, can_start_warm, start_warm

_GO_ON = "run again to go on from its checkpoint"
LIFELINE = "CXRFLOW_LIFELINE"
"""Set for a child whose stdin is its lifeline; a module started by hand may have any stdin."""

Event = Mapping[str, Any]
Child: TypeAlias = subprocess.Popen[str] | Forked
FAILED = "failed"
"""The event of a child that ends with an error raised on purpose: its message and exit code."""
_KEPT_LINES = 160  # our choice: a traceback of each of a few ranks, and their launcher's own
_ERROR_LINE = re.compile(
    r"^(?:\[rank\d+\]: )?"
    r"(?P<error>(?:[\w.]+\.)?(?!ChildFailedError)\w*(?:Error|Exception|Interrupt): \S.*)$"
)
_LOST_RANK = re.compile(r"Connection (closed|reset) by peer")
"""What a rank says whose partner has failed: not the reason."""
_RANK_SIGNAL = re.compile(r"^\s*exitcode\s*: -\d+ .*\((?P<name>SIG\w+)\)\s*$")
_GRACE_SECONDS = 20.0  # our choice: time for a checkpoint before SIGKILL


class ChildFailed(CxrError):
    """A child process ended badly; ``stderr_tail`` holds its last lines."""

    def __init__(self, module: str, code: int, stderr_tail: str) -> None:
        self.module, self.code, self.stderr_tail = module, code, stderr_tail
        last = _telling_line(stderr_tail.strip().splitlines())
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        super().__init__(f"{module} {how}: {last}")

    def __reduce__(self) -> tuple[type[ChildFailed], tuple[str, int, str]]:
        return type(self), (self.module, self.code, self.stderr_tail)


def _telling_line(lines: Sequence[str]) -> str:
    """The last line that names an error, as torchrun prints a table of its own after it.

    A rank that loses its partner may be aborted; that is told only where nobody names a reason.
    """
    last = lines[-1] if lines else "no message"
    for line in reversed(lines):
        error = _ERROR_LINE.match(line)
        if error and not _LOST_RANK.search(line):
            return error["error"]
        killed = _RANK_SIGNAL.match(line)
        if killed and killed["name"] != "SIGTERM":  # with which the launcher ends the others
            last = f"a rank was killed by {killed['name']}"
            if killed["name"] != "SIGABRT":
                return last
    return last


@dataclass(frozen=True)
class Nodes:
    """The machines that a child runs on; each starts the same command and sees the same files.

    Args:
        rendezvous: ``host:port`` of one of them, where several find each other.
        starter: words before the command that start it on all of them (Slurm's ``srun``, say);
            without, a person starts it on the others.
    """

    count: int = 1
    rendezvous: str | None = None
    starter: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.count > 1 and not self.rendezvous:
            raise InputError(
                f"{self.count} nodes and no rendezvous",
                "host:port of one of them",
                "set CXR_RENDEZVOUS to the same on every node",
            )


HERE = Nodes()


def command_for(
    module: str, run_file: Path, processes: int, nodes: Nodes = HERE, *, launched: bool = False
) -> list[str]:
    """The command line: plain python for one process, torchrun for several.

    Args:
        processes: on each node.
        launched: go through torchrun even as one process, which DeepSpeed asks for.
    """
    if processes * nodes.count == 1 and not launched:
        return [sys.executable, "-m", module, str(run_file)]
    if nodes.count == 1:
        # all ranks are here; the host's own name may resolve to nothing
        meeting = ["--standalone", "--local-addr=127.0.0.1"]
    else:
        meeting = [
            f"--nnodes={nodes.count}",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={nodes.rendezvous}",
            f"--rdzv-id={run_file.parent.name}",  # the stage's own folder: equal on all nodes
        ]
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        *meeting,
        f"--nproc_per_node={processes}",
        "-m",
        module,
        str(run_file),
    ]


def run_module(
    module: str,
    run_file: Path,
    on_event: Callable[[Event], None],
    *,
    processes: int = 1,
    nodes: Nodes = HERE,
    launched: bool = False,
    log_file: Path | None = None,
    saves: bool = False,
) -> None:
    """Run ``python -m module run_file`` to its end.

    Args:
        on_event: called with each JSON object the child prints on a line of its stdout.
        processes, nodes, launched: as ``command_for`` takes them.
        log_file: keeps all of the child's stderr.
        saves: it heeds a request to stop beside its run file; when this call is interrupted, it
            is asked by it and given the grace of ``infra.stopping``.

    Raises:
        InputError: the child, or a rank of it, met bad input; the message is the child's own.
        Stopped: somebody asked it to leave, and it did.
        ChildFailed: it ended with any other code but 0, or by a signal.
    """
    command = _on_nodes(command_for(module, run_file, processes, nodes, launched=launched), nodes)
    tail: deque[str] = deque(maxlen=_KEPT_LINES)
    failures: list[Event] = []

    def sort(event: Event) -> None:
        (failures.append if event["event"] == FAILED else on_event)(event)

    if saves:
        forget_request(run_file.parent)
    with _start(command, module, run_file) as child:
        reader = threading.Thread(target=_drain, args=(child.stderr, tail, log_file), daemon=True)
        reader.start()
        threading.Thread(target=_cut_lifeline, args=(child,), daemon=True).start()
        try:
            _follow(child, sort)
        except BaseException:
            stop_tree(child, run_file.parent if saves else None)
            raise
        finally:
            reader.join()
    code = child.wait()
    if code != 0:
        if saves and is_asked_to_stop(run_file.parent):
            raise Stopped(f"{module} was asked to stop and has; {_GO_ON}")
        raise failure_of(module, code, failures, "".join(tail))


def _on_nodes(command: list[str], nodes: Nodes) -> list[str]:
    """The command that starts it on all nodes; or a word to the person who does so."""
    if nodes.count > 1 and nodes.starter:
        return [*nodes.starter, *command]
    if nodes.count > 1:
        LOGGER.warning("start on the other %d nodes: %s", nodes.count - 1, shlex.join(command))
    return command


def _start(command: Sequence[str], module: str, run_file: Path) -> Child:
    """Start it; a module that is a process by itself, with its libraries loaded where that goes."""
    environment = child_environment()
    is_alone = list(command[1:3]) == ["-m", module]  # no launcher, no starter of several nodes
    if is_alone and can_start_warm(module):
        try:
            return start_warm(module, run_file, environment)
        except OSError as error:
            LOGGER.warning("%s is started anew with all its libraries: %s", module, error)
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        cwd=HOUSE,
        env=environment,
        start_new_session=True,
    )


def failure_of(module: str, code: int, failures: Sequence[Event], tail: str) -> CxrError:
    """What went wrong, in the child's own words where it had some.

    A launcher of several ranks ends with 1 whatever its ranks ended with.
    """
    for event in failures:
        if event["exit_code"] == EXIT_BAD_INPUT:
            return ChildInputError(event["message"])
    if code == EXIT_BAD_INPUT and tail:
        return ChildInputError(tail.strip().splitlines()[-1])
    told = [f"{event['message']}\n" for event in failures]
    return ChildFailed(module, code, "".join([tail, *told]))


def _follow(child: Child, on_event: Callable[[Event], None]) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        event = parse_event(line)
        if event is not None:
            on_event(event)
    child.wait()


def _cut_lifeline(child: Child) -> None:
    """When a launcher has ended, however it did, its ranks must end too: they hold the streams that
    this process reads to their end, and nothing else tells them."""
    child.wait()
    assert child.stdin is not None
    with suppress(BrokenPipeError):
        child.stdin.close()


class ChildInputError(InputError):
    """Bad input that a child process found; the text is the child's own line."""

    def __init__(self, line: str) -> None:
        CxrError.__init__(self, line.removeprefix("error: "))

    def __reduce__(self) -> tuple[type[ChildInputError], tuple[str]]:  # type: ignore[override]
        return ChildInputError, (str(self),)


def end_with_parent(folder: Path | None = None) -> None:
    """In a child of ``run_module``: end this process when the parent is gone.

    A killed flow would otherwise leave a trainer behind that writes the same checkpoints as the
    one that the next run starts. Ranks below torchrun share its stdin, and so its lifeline.

    Args:
        folder: where it may have been asked to save and leave; then it has the grace for that.
    """
    if os.environ.get(LIFELINE) == "stdin":
        threading.Thread(target=_wait_for_end_of_stdin, args=(folder,), daemon=True).start()


def _wait_for_end_of_stdin(folder: Path | None) -> None:
    while os.read(0, 1):
        pass
    if folder is not None and is_asked_to_stop(folder):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):  # nobody reads them any more, and a broken pipe would end it
            os.dup2(nowhere, stream)
        time.sleep(GRACE_SECONDS)
    os._exit(128 + signal.SIGHUP)


def end_with_starter() -> None:
    """In a process of ``multiprocessing``: end at once when the one that started it is gone.

    An orphan would wait for work for ever.
    """
    starter = multiprocessing.parent_process()
    assert starter is not None

    def watch() -> None:
        wait([starter.sentinel])
        os._exit(128 + signal.SIGHUP)

    threading.Thread(target=watch, daemon=True).start()


def stop_tree(child: Child, folder: Path | None = None) -> None:
    """End a child and all that it has started.

    Args:
        folder: it is asked here to save and leave, and has the grace for that. Otherwise, and when
            that has passed, its group gets SIGTERM, and what is left some seconds later is killed:
            ranks are in sessions of their own, so they are found by their parent.
    """
    tree = _descendants(child)
    if folder is not None:
        ask_to_stop(folder)
        threading.Thread(target=_swallow, args=(child.stdout,), daemon=True).start()
        _wait(child, GRACE_SECONDS)
    if child.poll() is None:
        tree |= _descendants(child)
        _signal_group(child, signal.SIGTERM)
        _wait(child, _GRACE_SECONDS)
    _signal_group(child, signal.SIGKILL)
    for each in tree:
        with suppress(psutil.Error):
            each.kill()
    child.wait()


def _descendants(child: Child) -> set[psutil.Process]:
    with suppress(psutil.Error):
        return set(psutil.Process(child.pid).children(recursive=True))
    return set()


def _swallow(stream: Any) -> None:
    """Read what nobody wants any more: a full pipe would hold its writer up."""
    with suppress(ValueError):  # closed meanwhile
        for _ in stream:
            pass


def _wait(child: Child, seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        child.wait(timeout=seconds)


def _signal_group(child: Child, sign: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, sign)


def _drain(stream: Any, tail: deque[str], log_file: Path | None) -> None:
    if log_file is None:
        tail.extend(stream)
        return
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("w") as log:
        for line in stream:
            tail.append(line)
            log.write(line)


def parse_event(line: str) -> Event | None:
    """A JSON object with an ``event`` key; other lines are libraries' chatter."""
    if not line.startswith("{"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "event" in value else None


def child_environment() -> dict[str, str]:
    """This process's environment without secrets a trainer has no use for.

    Threads that wait spin for some ten thousand turns only: a training step of small convolutions
    took 0.52 s so on two cores that others used too, without spinning 0.63 s, and 0.43 s with
    threads that never rest, which cost four times the processor where twelve others wanted it.
    GNU's OpenMP is told; others do not spin.
    """
    kept = {key: value for key, value in os.environ.items() if key != "CXR_LLM_API_KEY"}
    fixed = {"PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false", LIFELINE: "stdin"}
    return {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "10000", **kept, **fixed}
