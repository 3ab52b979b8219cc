"""Child processes: their events, their failures, and their whole tree when they are stopped."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra import launch
from infra.errors import InputError
from infra.launch import ChildFailed, Nodes, command_for, run_module


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the child's path; write ``child.py`` there."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield tmp_path / "child.py"


def run(module: Path, code: str) -> list[dict[str, object]]:
    module.write_text(code)
    events: list[dict[str, object]] = []
    run_module("child", module.parent / "run.json", lambda event: events.append(dict(event)))
    return events


def test_events_are_followed_and_chatter_is_not(module: Path) -> None:
    events = run(
        module,
        'print(\'{"event": "progress", "step": 1}\')\n'
        "print('some library says hello')\n"
        "print('{broken json')\n"
        'print(\'{"no": "event key"}\')\n'
        'import sys; print(\'{"event": "done", "file": "\' + sys.argv[1][-8:] + \'"}\')\n',
    )
    assert events == [{"event": "progress", "step": 1}, {"event": "done", "file": "run.json"}]


def test_exit_code_2_is_bad_input_with_the_childs_own_line(module: Path) -> None:
    with pytest.raises(InputError) as caught:
        run(
            module,
            "import sys; print('error: found a; expected b; do c', file=sys.stderr); sys.exit(2)",
        )
    assert str(caught.value) == "found a; expected b; do c"


def test_other_exit_codes_name_the_last_line(module: Path) -> None:
    with pytest.raises(ChildFailed) as caught:
        run(module, "raise ValueError('the loss is not a number')")
    assert str(caught.value) == "child ended with 1: ValueError: the loss is not a number"
    assert "Traceback" in caught.value.stderr_tail


def test_a_killed_child_is_named_by_its_signal(module: Path) -> None:
    with pytest.raises(ChildFailed, match="child was killed by SIGKILL: no message"):
        run(module, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")


def test_all_of_stderr_is_kept_in_the_log_file(module: Path, tmp_path: Path) -> None:
    module.write_text("import sys\nfor n in range(100): print(n, file=sys.stderr)")
    log = tmp_path / "logs" / "child.log"
    run_module("child", tmp_path / "run.json", lambda event: None, log_file=log)
    assert log.read_text().splitlines() == [str(n) for n in range(100)]


def test_an_interrupted_run_stops_the_whole_process_tree(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "_GRACE_SECONDS", 0.5)
    code = (
        "import json, os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "grandchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(json.dumps({'event': 'up', 'pids': [os.getpid(), grandchild.pid]}), flush=True)\n"
        "time.sleep(60)\n"
    )
    module.write_text(code)
    pids: list[int] = []

    def stop_now(event: launch.Event) -> None:
        pids.extend(event["pids"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_module("child", module.parent / "run.json", stop_now)
    deadline = time.monotonic() + 10
    while any(_is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(pids) == 2
    assert not any(_is_alive(pid) for pid in pids)


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_children_do_not_see_the_language_models_key(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_LLM_API_KEY", "secret")
    events = run(
        module,
        "import json, os\n"
        "print(json.dumps({'event': 'x', 'key': os.environ.get('CXR_LLM_API_KEY')}))",
    )
    assert events == [{"event": "x", "key": None}]


def test_several_processes_go_through_torchrun(tmp_path: Path) -> None:
    command = command_for("models.train", tmp_path / "run.json", 2)
    assert command[1:6] == [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--local-addr=127.0.0.1",
        "--nproc_per_node=2",
    ]


def test_one_process_is_launched_where_deepspeed_asks_for_it(tmp_path: Path) -> None:
    run_file = tmp_path / "run.json"
    plain = command_for("models.train", run_file, 1)
    assert plain[1:] == ["-m", "models.train", str(run_file)]
    launched = command_for("models.train", run_file, 1, launched=True)
    assert launched[1:3] == ["-m", "torch.distributed.run"]
    assert launched[-4:] == ["--nproc_per_node=1", "-m", "models.train", str(run_file)]


def test_several_nodes_meet_at_the_rendezvous(tmp_path: Path) -> None:
    nodes = Nodes(3, "node0:29500")
    assert command_for("models.train", tmp_path / "run.json", 1, nodes)[1:] == [
        "-m",
        "torch.distributed.run",
        "--nnodes=3",
        "--rdzv-backend=c10d",
        "--rdzv-endpoint=node0:29500",
        f"--rdzv-id={tmp_path.name}",
        "--nproc_per_node=1",
        "-m",
        "models.train",
        str(tmp_path / "run.json"),
    ]


STARTER = """
import subprocess, sys
command = [sys.executable, "-c", sys.argv[1]]
each = [subprocess.Popen([*command, str(node)]) for node in range(2)]
sys.exit(max(one.wait() for one in each))
"""


def test_a_starter_starts_the_command_on_every_node(module: Path) -> None:
    """The starter is the test's own, for there is no Slurm here: it runs a line on two nodes."""
    said = (
        "import json, os, sys; here = {'event': 'here', 'node': int(sys.argv[1])}\n"
        "os.write(1, (json.dumps(here) + '\\n').encode())"  # in one piece, for two write at once
    )
    starter = (sys.executable, "-c", STARTER, said)
    events: list[dict[str, object]] = []
    run_module(
        "child",
        module.parent / "run.json",
        lambda event: events.append(dict(event)),
        nodes=Nodes(2, "node0:29500", starter),
    )
    assert sorted(int(str(event["node"])) for event in events) == [0, 1]


def test_several_nodes_without_a_rendezvous_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        Nodes(2)
    assert str(caught.value) == (
        "found 2 nodes and no rendezvous; expected host:port of one of them; set CXR_RENDEZVOUS "
        "to the same on every node"
    )


def test_bytes_that_are_no_text_do_not_stop_the_run(module: Path, tmp_path: Path) -> None:
    """More than a pipe holds: a reader that gave up would leave the child waiting for ever."""
    module.write_text(
        "import os, sys\n"
        "for number in range(3000):\n"
        "    os.write(2, b'\\xff\\xfe is no text, line %d\\n' % number)\n"
        "os.write(1, b'\\xff\\n')\n"
        'print(\'{"event": "done"}\', flush=True)\n'
        "sys.exit(3)\n"
    )
    events: list[launch.Event] = []
    with pytest.raises(ChildFailed, match=r"child ended with 3: .* is no text, line 2999"):
        run_module("child", tmp_path / "run.json", events.append)
    assert events == [{"event": "done"}]


def test_bad_input_of_a_rank_is_found_behind_the_launchers_words(module: Path) -> None:
    """torchrun ends with 1 and prints a page about its ranks, whatever they said."""
    with pytest.raises(InputError) as caught:
        run(
            module,
            "import json, sys\n"
            "print(json.dumps({'event': 'failed', 'message': 'found a; expected b; do c',"
            " 'exit_code': 2}))\n"
            "print('=' * 60, file=sys.stderr)\n"
            "sys.exit(1)\n",
        )
    assert str(caught.value) == "found a; expected b; do c"


def test_another_failure_is_told_in_the_childs_words(module: Path) -> None:
    with pytest.raises(ChildFailed) as caught:
        run(
            module,
            "import json, sys\n"
            "print(json.dumps({'event': 'failed', 'message': 'the loss is nan', 'exit_code': 1}))\n"
            "print('=' * 60, file=sys.stderr)\n"
            "sys.exit(1)\n",
        )
    assert str(caught.value) == "child ended with 1: the loss is nan"


def test_the_reason_is_told_and_not_that_a_partner_was_lost(module: Path) -> None:
    """torch marks each rank's lines once they have met; the partner's own error comes last."""
    with pytest.raises(ChildFailed) as caught:
        run(
            module,
            "import sys\n"
            "print('[rank1]: infra.errors.CxrError: found a; expected b', file=sys.stderr)\n"
            "print('[rank0]: RuntimeError: [x.cc:1] Connection closed by peer', file=sys.stderr)\n"
            "print('=' * 60, file=sys.stderr)\n"
            "sys.exit(1)\n",
        )
    assert str(caught.value) == ("child ended with 1: infra.errors.CxrError: found a; expected b")


@pytest.mark.parametrize(
    ("fate", "told"),
    [
        ("raise ValueError('the loss is not a number')", "ValueError: the loss is not a number"),
        ("os.abort()", "a rank was killed by SIGABRT"),
    ],
)
def test_a_failed_rank_is_told_before_the_launchers_table(
    module: Path, fate: str, told: str
) -> None:
    module.write_text(f"import os\nif os.environ['RANK'] == '1':\n    {fate}\n")
    with pytest.raises(ChildFailed) as caught:
        run_module("child", module.parent / "run.json", lambda event: None, processes=2)
    assert str(caught.value) == f"child ended with 1: {told}"


def test_a_reason_is_told_before_the_abort_of_the_partner_that_it_left(module: Path) -> None:
    """A rank whose partner has gone may be aborted, which the launcher's table shows last."""
    with pytest.raises(ChildFailed) as caught:
        run(
            module,
            "import sys\n"
            "print('[rank0]: infra.errors.CxrError: found a; expected b', file=sys.stderr)\n"
            "print('ChildFailedError:', file=sys.stderr)\n"
            "print('  exitcode  : -6 (pid: 44)  (SIGABRT)', file=sys.stderr)\n"
            "sys.exit(1)\n",
        )
    assert str(caught.value) == "child ended with 1: infra.errors.CxrError: found a; expected b"
