"""A server of tiny models for tests, in this process's own thread; its children are real ones."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from diffusion_world import drawing_world
from models_world import IMAGES, picture, trained_world
from pydantic import BaseModel

from infra.runs import RegisterRun
from infra.settings.diffusion import DrawSettings
from infra.settings.sections import GenerateSettings
from infra.tracking_runs import RunBook
from models import register
from models.serve_drawings import SETTINGS_FILE as DRAWING_FILE
from models.serving import SETTINGS_FILE, FindingsService, Question, ServingSettings
from tasks.serve.front import Front
from tasks.serve.keeper import Hands
from tasks.serve.limits import Limits
from tasks.serve.work import ServeOrder, serve_until

ANSWER = GenerateSettings(max_new_tokens=12)
SETTINGS = ServingSettings(**IMAGES.model_dump(), generate=ANSWER)
DRAW = DrawSettings(steps=2, guidance=2.0, batch_size=2)
START_SECONDS = 400.0  # children take long to import torch on a busy machine


def registry_uri(root: Path) -> str:
    return f"sqlite:///{root / 'mlflow.db'}"


def register_model(root: Path, *, alias: str = "champion", **changes: Any) -> int:
    """One version more of ``cxr``; returns its number. Other tags make another version."""
    run = {
        "model": trained_world() / "finetune",
        "model_name": "cxr",
        "alias": alias,
        "tracking_uri": registry_uri(root),
        "experiment": "llava_rad",
        "images": IMAGES,
        "generate": ANSWER,
        "output": root / "receipt",
    }
    uri = changes.get("tracking_uri", registry_uri(root))
    place = root / "artifacts" if uri == registry_uri(root) else None
    assert RunBook(uri, "llava_rad", place).experiment_id
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mlflow's own
        assert register.register(RegisterRun.model_validate({**run, **changes})) == 0
    return int(json.loads((root / "receipt" / "registered.json").read_text())["version"])


def write_folder(folder: Path, model: Path, settings_file: str, settings: BaseModel) -> Path:
    """A registered model's folder without its registry, as one is carried elsewhere."""
    parts = {name: {"path": f"artifacts/{name}"} for name in ("model", "serving")}
    (folder / "artifacts" / "serving").mkdir(parents=True)
    (folder / "artifacts" / "serving" / settings_file).write_text(settings.model_dump_json())
    shutil.copytree(model, folder / "artifacts" / "model")
    told = {"flavors": {"python_function": {"artifacts": parts}}}
    (folder / "MLmodel").write_text(json.dumps(told))  # JSON is YAML
    return folder


def writer_folder(folder: Path, settings: ServingSettings = SETTINGS) -> Path:
    """Of the model that writes."""
    return write_folder(folder, trained_world() / "finetune", SETTINGS_FILE, settings)


def drawer_folder(folder: Path) -> Path:
    """Of the model that draws."""
    return write_folder(folder, drawing_world() / "guide", DRAWING_FILE, DRAW)


def order(root: Path, **changes: Any) -> ServeOrder:
    """What is served from a registry made by the functions above."""
    told: dict[str, Any] = {
        "model": "cxr@champion",
        "drawing": None,
        "host": "127.0.0.1",
        "port": 0,
        "token_file": None,
        "hands": Hands(slots=4, device="cpu"),
        "limits": Limits(poll_seconds=0.2),
        "tracking_uri": registry_uri(root),
        "copies": root / "copies",
    }
    return ServeOrder(**{**told, **changes})


@dataclass(frozen=True)
class Running:
    """A server that answers at ``url``."""

    url: str
    front: Front
    loop: asyncio.AbstractEventLoop


@contextmanager
def running(asked: ServeOrder) -> Iterator[Running]:
    """A server for as long as the block lasts; it leaves as by SIGTERM."""
    found: list[Running] = []
    failed: list[BaseException] = []
    ready = threading.Event()
    stopping: list[Any] = []

    async def work() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        stopping.append(lambda: loop.call_soon_threadsafe(stop.set))

        def on_ready(url: str, front: Front) -> None:
            found.append(Running(url, front, loop))
            ready.set()

        await serve_until(stop, asked, on_ready)

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="serves")
    thread.start()
    try:
        assert ready.wait(START_SECONDS), "the server does not start"
        assert found, f"the server has not started: {failed}"
        yield found[0]
    finally:
        stopping[0]()
        thread.join(START_SECONDS)
        assert not thread.is_alive()


def data_url(film: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(film).decode()}"


def user_turn(text: str, *films: bytes) -> dict[str, Any]:
    """A user's message in OpenAI's form."""
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": data_url(film)}} for film in films
    ]
    if text:
        parts.append({"type": "text", "text": text})
    return {"role": "user", "content": parts}


def films(count: int) -> list[bytes]:
    """PNGs that differ, larger than the recipe's size."""
    return [picture(("left", "right")[number % 2], number, 60, 50) for number in range(count)]


def alone(questions: list[Question], settings: ServingSettings = SETTINGS) -> list[str]:
    """What each is answered when it is asked alone; equal asks of one process are answered once."""
    told = settings.model_dump_json()
    return [_answer(question, told) for question in questions]


@cache
def _answer(question: Question, settings: str) -> str:
    return _service(settings).answer([question])[0].text


@cache
def _service(settings: str) -> FindingsService:
    told = ServingSettings.model_validate_json(settings)
    return FindingsService.load(trained_world() / "finetune", told, 1, "cpu")
