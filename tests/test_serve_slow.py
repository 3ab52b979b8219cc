"""What happens to servers: many clients, a moving alias, dead children, an end."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import openai
import pytest
from diffusion_world import SIDE_PX
from mlflow import MlflowClient
from models_world import trained_world
from PIL import Image
from serve_world import (
    SETTINGS,
    START_SECONDS,
    Running,
    alone,
    drawer_folder,
    films,
    order,
    register_model,
    registry_uri,
    running,
    user_turn,
    writer_folder,
)

from infra.fingerprint import HOUSE
from infra.settings.sections import GenerateSettings
from infra.tracking_models import ModelShelf, Version, parts_of
from models.serving import Question
from tasks.serve.keeper import Hands
from tasks.serve.limits import Limits

# MLflow and SQLAlchemy warn about each other; what our own code warns about, the other files see.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

CLIENTS, ASKS = 200, 600


@cache
def questions() -> list[Question]:
    words = (None, "Is there a nodule?", "Where is it?")
    return [Question(film, None, words[number % 3]) for number, film in enumerate(films(12))]


@cache
def expected() -> list[str]:
    return alone(questions())


def bodies(count: int, **changes: Any) -> list[str]:
    """Chat requests, over and over the questions."""
    made = []
    for number in range(count):
        question = questions()[number % len(questions())]
        message = user_turn(question.question or "", question.image)
        made.append(json.dumps({"model": "cxr", "messages": [message], **changes}))
    return made


class Clients:
    """Clients in a process of their own, who ask until all is answered."""

    def __init__(self, url: str, folder: Path, count: int, clients: int, *, streams: bool) -> None:
        plan = folder / "plan.json"
        told = {"url": url, "bodies": bodies(count, stream=streams), "clients": clients}
        plan.write_text(json.dumps({**told, "streams": streams}))
        self.count = count
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.serving_load", str(plan)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=HOUSE,
        )

    def seen(self) -> Any:
        """What they saw; every ask has the one right answer."""
        out, _ = self.process.communicate(timeout=900)
        assert self.process.returncode == 0
        seen = json.loads(out)
        assert sorted(number for number, *_ in seen["answers"]) == list(range(self.count))
        wrong = [
            number
            for number, text, _ in seen["answers"]
            if text != expected()[number % len(expected())]
        ]
        assert wrong == []
        assert not [name for name in seen["statuses"] if name not in ("200", "429", "503")]
        return seen


def until(found: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)


def health(server: Running) -> Any:
    try:
        with urllib.request.urlopen(f"{server.url}/health", timeout=30) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


def ask_one(server: Running, number: int) -> str:
    """Question ``number``'s answer, by OpenAI's client."""
    question = questions()[number]
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        found = client.chat.completions.create(
            model="cxr",
            messages=[user_turn(question.question or "", question.image)],  # type: ignore[list-item]
        )
    return found.choices[0].message.content or ""


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return writer_folder(tmp_path_factory.mktemp("carried") / "cxr")


@pytest.mark.parametrize("streams", [False, True])
def test_two_hundred_clients_get_the_right_answer_each(
    carried: Path, tmp_path: Path, streams: bool
) -> None:
    hands, limits = Hands(slots=16, device="cpu"), Limits(waiting=48)
    with running(order(tmp_path, model=str(carried), hands=hands, limits=limits)) as server:
        seen = Clients(server.url, tmp_path, ASKS, CLIENTS, streams=streams).seen()
        assert seen["statuses"]["200"] == ASKS
        assert seen["statuses"]["429"] == len(seen["refused"]) > 0
        assert set(seen["statuses"]) == {"200", "429"}
        assert server.front.held.now == server.front.inside == 0


def test_a_swap_under_load_loses_nothing(tmp_path: Path) -> None:
    """Both versions have the same weights, so that an answer is right whoever gives it."""
    register_model(tmp_path, tags={"cxrflow.number": "1"})
    with running(order(tmp_path, hands=Hands(slots=8, device="cpu"))) as server:
        keeper = server.front.keepers["answers"]
        old = keeper.desk.child
        assert old is not None
        clients = Clients(server.url, tmp_path, 6 * ASKS, 40, streams=False)
        register_model(tmp_path, tags={"cxrflow.number": "2"})
        until(lambda: keeper.swaps == 1)
        seen = clients.seen()
        assert {model for *_, model in seen["answers"]} == {"cxr/1", "cxr/2"}
        assert set(seen["statuses"]) <= {"200", "429"}
        until(lambda: not Path(f"/proc/{old.pid}").exists())
        assert (keeper.restarts, keeper.failures) == (0, 0)


def test_a_version_that_cannot_be_loaded_changes_nothing(tmp_path: Path) -> None:
    register_model(tmp_path, tags={"cxrflow.number": "1"})
    with running(order(tmp_path)) as server:
        register_model(tmp_path, tags={"cxrflow.number": "2"}, alias="candidate")
        shelf = ModelShelf(registry_uri(tmp_path), tmp_path / "copies")
        damaged = parts_of(shelf.folder(Version("cxr", "2"))).model / "model.safetensors"
        damaged.write_bytes(b"nothing")
        move_alias(tmp_path, 2)
        keeper = server.front.keepers["answers"]
        until(lambda: keeper.failures == 1)
        found = health(server)
        assert found["status"] == "ready"
        assert found["models"]["answers"]["version"] == "1"
        assert found["models"]["answers"]["could_not_load"] == "2"
        assert "cannot be read" in found["models"]["answers"]["reason"]
        assert ask_one(server, 0) == expected()[0]
        move_alias(tmp_path, 1)
        until(lambda: keeper.trouble is None)
        assert (keeper.swaps, keeper.failures) == (0, 1)


def move_alias(root: Path, version: int) -> None:
    client = MlflowClient(tracking_uri=registry_uri(root), registry_uri=registry_uri(root))
    client.set_registered_model_alias("cxr", "champion", str(version))


@pytest.mark.parametrize("streams", [False, True])
def test_a_killed_child_is_followed_by_another_and_no_ask_is_lost(
    carried: Path, tmp_path: Path, streams: bool
) -> None:
    with running(order(tmp_path, model=str(carried))) as server:
        keeper = server.front.keepers["answers"]
        clients = Clients(server.url, tmp_path, 300, 30, streams=streams)
        until(lambda: keeper.desk.places > 4)
        child = keeper.desk.child
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        seen = clients.seen()
        assert keeper.restarts == 1
        assert set(seen["statuses"]) <= {"200", "429"}, "they were asked again, not refused"


def test_a_film_is_drawn_beside_answers(carried: Path, tmp_path: Path) -> None:
    drawing = str(drawer_folder(tmp_path / "cxr-sd"))
    with running(order(tmp_path, model=str(carried), drawing=drawing)) as server:

        def draw(seed: int) -> tuple[bytes, Any]:
            body = json.dumps({"text": "There is a nodule.", "seed": seed}).encode()
            with urllib.request.urlopen(f"{server.url}/v1/drawings", body, timeout=60) as reply:
                return reply.read(), reply.headers

        film, headers = draw(3)
        assert (headers["Content-Type"], headers["X-Cxr-Model"]) == ("image/png", "cxr-sd/folder")
        with Image.open(io.BytesIO(film)) as picture:
            assert (picture.format, picture.size) == ("PNG", (SIDE_PX, SIDE_PX))
        others: list[bytes] = []
        threads = [
            threading.Thread(target=lambda seed=seed: others.append(draw(seed)[0]))
            for seed in (3, 4, 5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert film in others
        assert len(set(others)) == 3
        assert ask_one(server, 1) == expected()[1]


def test_an_answer_that_takes_too_long_is_ended_whether_it_streams_or_not(tmp_path: Path) -> None:
    """Of 110 tokens, which take longer than a tenth of a second; the place is free afterwards."""
    settings = SETTINGS.model_copy(
        update={"generate": GenerateSettings(max_new_tokens=110, min_new_tokens=110)}
    )
    folder, limits = writer_folder(tmp_path / "slow", settings), Limits(answer_seconds=0.1)
    with running(order(tmp_path, model=str(folder), limits=limits)) as server:
        question = {"model": "slow", "messages": [{"role": "user", "content": "Hello."}]}
        for streams in (False, True):
            body = json.dumps({**question, "stream": streams}).encode()
            try:
                request = urllib.request.Request(f"{server.url}/v1/chat/completions", body)
                with urllib.request.urlopen(request, timeout=60) as reply:
                    assert streams
                    events = reply.read().decode().strip().split("\n\n")
                    assert "[DONE]" not in events[-1]
                    told = json.loads(events[-1].removeprefix("data: "))
            except urllib.error.HTTPError as error:
                with error:
                    assert error.code == 504
                    told = json.load(error)
            assert told["error"]["code"] == "too_slow"
        desk = server.front.keepers["answers"].desk
        assert (desk.places, server.front.inside) == (0, 0)
        assert desk.child is not None
        until(lambda: desk.child is not None and desk.child.busy.live == 0)


@contextmanager
def command(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``cxr serve`` as a person starts it."""
    code = "from flows.cli import main; main()"
    environment = {**os.environ, "CXR_DATA_ROOT": str(folder / "data"), "PYTHONPATH": str(HOUSE)}
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(
            [sys.executable, "-c", code, "serve", *arguments, "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
    try:
        assert child.stdout is not None
        yield child, json.loads(child.stdout.readline())["url"]
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_sigterm_finishes_what_was_let_in_and_lets_in_no_more(
    carried: Path, tmp_path: Path
) -> None:
    with command(tmp_path, str(carried), "--slots", "2", "--device", "cpu") as (server, url):
        clients = [
            threading.Thread(target=lambda n=n: found.append(post(url, bodies(12)[n])))
            for n in range(12)
        ]
        found: list[tuple[int, str]] = []
        for client in clients:
            client.start()
        until(lambda: len(found) > 1)
        server.send_signal(signal.SIGTERM)
        for client in clients:
            client.join()
        assert server.wait(60) == 0
        assert len(found) == 12
        answered = [text for status, text in found if status == 200]
        assert answered
        assert set(answered) <= set(expected())
        assert {status for status, _ in found} <= {200, 503, 0}
        assert "requests are inside" in (tmp_path / "log").read_text()
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"{url}/health", timeout=5)


def post(url: str, body: str) -> tuple[int, str]:
    """Status and answer; 0 where the server takes no connection any more."""
    request = urllib.request.Request(f"{url}/v1/chat/completions", body.encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.load(reply)["choices"][0]["message"]["content"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except urllib.error.URLError:
        return 0, ""


def test_a_killed_server_leaves_no_child_behind(carried: Path, tmp_path: Path) -> None:
    with command(tmp_path, str(carried), "--device", "cpu") as (server, _):
        listed = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        assert listed
        server.send_signal(signal.SIGKILL)
        server.wait()
        until(lambda: not any(Path(f"/proc/{child}").exists() for child in listed))


def test_a_registry_behind_http_is_copied_and_may_go_away(tmp_path: Path) -> None:
    """The files come through the registry's server; when that dies the model stays in service."""
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    place = [f"sqlite:///{tmp_path / 'server.db'}", str(tmp_path / "store")]
    registry = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--backend-store-uri",
         place[0], "--artifacts-destination", place[1], "--workers", "1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        until(lambda: answers(f"{uri}/health"))
        register_model(tmp_path, tracking_uri=uri, model=trained_world() / "finetune")
        with running(order(tmp_path, tracking_uri=uri)) as server:
            copy = tmp_path / "copies" / "cxr" / "1"
            assert (copy / "MLmodel").is_file()
            os.killpg(registry.pid, signal.SIGKILL)
            keeper = server.front.keepers["answers"]
            until(lambda: keeper.trouble is not None)
            assert health(server)["models"]["answers"]["could_not_load"] == "the registry"
            assert ask_one(server, 0) == expected()[0]
    finally:
        if registry.poll() is None:
            os.killpg(registry.pid, signal.SIGKILL)
        registry.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
