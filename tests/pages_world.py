"""A data root to look at: thirty test studies with films, scores, attention, a log of promotions,
and two runs; and a room over it in this process. All is written by the project's own writers.

One study has an id and reports that would break a page that does not escape them.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import shutil
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from evaluation.scores import score_predictions
from infra.artifact import Artifact, build_artifact
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.promotions import Decision, Promotions
from infra.settings.environment import load_environment
from infra.settings.sections import ScoreSettings
from infra.step import Step
from infra.store import Store
from infra.tracking_database import make_database
from sources.example import EXAMPLE_SCHEMA
from sources.heat_map import MAP_SCHEMA, ShownFilm, map_rows
from tasks.ground.work import GROUNDED_SCHEMA
from tasks.pages.films import png
from tasks.pages.work import RoomOrder, room_until
from tests.facts_world import row, write_run
from tests.promote_world import step
from tests.registry_world import add_version, registry_at
from tests.scores_world import EFFUSION, NORMAL, TEXTS, judged_table, prediction_row

ABILITY = "llava_rad"
STUDIES = 30
HOSTILE = 5
"""The study whose texts would run script if they could."""
SCRIPT = "<script>alert('x')</script><img src=x onerror=alert(1)>"
CANARY = "moderately enlarged cardiac silhouette of Mrs Canary"
"""Words of a report that no log may hold."""
START_SECONDS = 400.0  # a busy machine lets it wait
WIDTH, HEIGHT, CELLS = 80, 64, 4
RUN_ID = "11111111-2222-3333-4444-555555555555"


def film(number: int) -> bytes:
    """PNG, brighter to the right, different for each number."""
    ramp = np.linspace(20, 220, WIDTH)[None, :] + np.linspace(0, 30, HEIGHT)[:, None]
    return png(np.asarray((ramp + 3 * number) % 256, np.uint8))


def texts(number: int) -> tuple[str, str]:
    """Reference and prediction: one in three is wrong, and one of each kind of trap is there."""
    reference = TEXTS[number % len(TEXTS)]
    if number == HOSTILE:
        return f"{EFFUSION} {SCRIPT}", f"{NORMAL} {SCRIPT}"
    if number == 6:
        return f"{reference} {CANARY}.", NORMAL
    return reference, reference if number % 3 else NORMAL


def _study(number: int) -> str:
    return f"s{number:04}" if number != HOSTILE else f"s0005{SCRIPT}"


def predictions() -> pa.Table:
    rows = []
    for number in range(STUDIES):
        reference, told = texts(number)
        for control in ("none", "shuffled", "blank"):
            text = told if control == "none" else NORMAL
            source = "mimic_cxr" if number % 2 else "openi"
            changes = {"reference": reference, "study_id": _study(number), "source": source}
            rows.append(prediction_row(number, control, text, **changes))
    return pa.Table.from_pylist(rows)


def examples() -> pa.Table:
    rows = [
        {
            "example_id": f"e{number:04}",
            "task": "findings",
            "source": "mimic_cxr" if number % 2 else "openi",
            "study_id": _study(number),
            "subject_id": f"p{number // 2:04}",
            "split": "test",
            "text_version": "keep",
            "origin": "radiologist",
            "images": [
                {"image_id": f"i{number}", "view": "PA", "pixels": film(number), "width": WIDTH,
                 "height": HEIGHT}
            ],
            "indication": None,
            "turns": [{"role": "user", "text": "Report."}],
            "target": texts(number)[0],
        }
        for number in range(STUDIES)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=EXAMPLE_SCHEMA)


def put(
    store: Store,
    made: Step,
    files: Mapping[str, pa.Table | str],
    counts: tuple[Count, ...] = (),
    facts: Mapping[str, Any] | None = None,
) -> Artifact:
    """An artifact with one piece of those files."""

    def build(_: str, folder: Path) -> BuiltPiece:
        for name, content in files.items():
            if isinstance(content, pa.Table):
                write_table(folder / name, content)
            else:
                (folder / name).write_text(content)
        return BuiltPiece(counts, dict(facts or {}))

    return build_artifact(store, made, lambda: {"p0000": ""}, build)


@dataclass(frozen=True)
class House:
    """The data root with its artifacts by kind."""

    root: Path
    made: dict[str, Artifact] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return Store(str(self.root), self.root / ".state")

    @property
    def scores(self) -> str:
        """The name of the scores' folder."""
        return self.made["scores"].folder.partition("/")[2]


def write_house(root: Path) -> House:
    """All but the registry."""
    house = House(root)
    store, made = house.store, house.made
    made["replicas"] = put(store, Step("replicas", "mimic_cxr", {"seed": 0}, {}, 1, ()), {"x": "x"})
    made["studies"] = put(
        store, step("studies", "mimic_cxr", {}, r=made["replicas"]), {"x": "x"},
        (Count("studies", 40, STUDIES, {"no-report": 10}),),
    )  # fmt: skip
    made["reports"] = put(
        store, step("reports", "mimic_cxr", {"model": "offline-rules"}, s=made["studies"]),
        {"x": "x"}, (Count("studies to structure", STUDIES, STUDIES),),
        {"input_tokens": 12_000, "output_tokens": 3_000, "cost_usd": 1.25},
    )  # fmt: skip
    made["examples"] = put(
        store, step("examples", "reports", {}, s=made["studies"], r=made["reports"]),
        {"test-000.parquet": examples()}, (Count("rows", STUDIES, STUDIES),),
    )  # fmt: skip
    made["stages"] = put(
        store, step("stages", "finetune", {"lr": 0.001}, e=made["examples"]), {"model": "weights"}
    )
    _write_readings(store, made)
    made["models"] = put(
        store, step("models", ABILITY, {}, s=made["stages"], r=made["scores"]), {"r.json": "{}"}
    )
    _write_runs(house)
    return house


def _write_readings(store: Store, made: dict[str, Artifact]) -> None:
    table = predictions()
    made["predictions"] = put(
        store, step("predictions", ABILITY, {}, s=made["stages"], e=made["examples"]),
        {"predictions.parquet": table}, (Count("predictions", 3 * STUDIES, 3 * STUDIES),),
    )  # fmt: skip
    judged = judged_table(table)
    settings = ScoreSettings(bootstrap_resamples=20, seed=3, judges=("offline-rules",))
    scores = score_predictions(table, judged, settings, "findings", max_new_tokens=64)
    made["scores"] = put(
        store, step("scores", ABILITY, {"seed": 3}, p=made["predictions"]),
        {"scores.json": json.dumps(scores.to_dict()), "examples.parquet": scores.examples,
         "judged.parquet": judged, "report.html": "<!doctype html><title>own page</title>"},
    )  # fmt: skip
    made["grounding"] = put(
        store, step("grounding", ABILITY, {}, s=made["stages"]),
        {"maps.parquet": maps(), "sentences.parquet": sentences(),
         "grounding.json": json.dumps({"choice": {"method": "attention mean"}})},
    )  # fmt: skip


def heat(number: int) -> np.ndarray[Any, Any]:
    """[1, 4, 4]: one cell that is looked at, another one for each number."""
    found = np.zeros((1, CELLS, CELLS), np.float32)
    found[0, 0, number % CELLS] = 1.0
    return found


def maps() -> pa.Table:
    """Attention of the first sentence of two references and of one prediction."""
    named = [("e0001", 1), ("e0002", 2), ("e0001/own", 3)]
    tables = [
        map_rows(
            name, "none", ShownFilm("mimic_cxr", "s", "e0001"),
            [("attention max", heat(number + 1)), ("attention mean", heat(number)),
             ("", np.full((1, 1, 1), -3.0, np.float32))],
        )
        for name, number in named
    ]  # fmt: skip
    return pa.concat_tables(tables).cast(MAP_SCHEMA)


def sentences() -> pa.Table:
    words = {"e0001": "Small left pleural effusion.", "e0001/own": "Small left pleural effusion.",
             "e0002": "Moderate pulmonary edema with cardiomegaly."}  # fmt: skip
    rows = [
        {"example_id": name, "sentence": 0, "text": "reference", "source": "mimic_cxr",
         "study_id": "s", "subject_id": None, "words": told, "names": [], "boxes": [],
         "is_focal_sided": False}
        for name, told in words.items()
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=GROUNDED_SCHEMA)


def _write_runs(house: House) -> None:
    """One run that built all, and one that failed a day later."""
    now = datetime.now(UTC)
    place = {"recipe": ABILITY, "scale": "tiny"}
    steps = [
        row("steps", **place, kind=kind, name=made.step.name,
            state="cached" if kind == "studies" else "built", why="never built",
            seconds=12.0, rows_in=40, kept=30, rejected=10,
            fingerprint=made.fingerprint)
        for kind, made in house.made.items()
    ]  # fmt: skip
    counted = {"source": "mimic_cxr", "kind": "studies", "unit": "studies"}
    facts: Any = {
        "steps": steps,
        "rows": [row("rows", **counted, state="built", rows_in=40, kept=30, rejected=10)],
        "rejects": [row("rejects", **counted, reason="no-report", count=10)],
        "llm": [row("llm", source="mimic_cxr", task="structure", model="offline-rules", requests=30,
                    kept=30, input_tokens=12_000, output_tokens=3_000, cost_usd=1.25)],
        "stages": [row("stages", **place, stage="finetune", kind="finetune", device="cpu", steps=9,
                       seconds=12.0, first_loss=3.0, last_loss=1.0,
                       fingerprint=house.made["stages"].fingerprint)],
        "scores": [row("scores", **place, ability=ABILITY, metric="rule14-micro-F1", value=0.7,
                       low=0.6, high=0.8, n=STUDIES, higher_is_better=True,
                       fingerprint=house.made["scores"].fingerprint)],
    }  # fmt: skip
    write_run(
        house.store, RUN_ID, now - timedelta(days=1), facts, steps=len(steps), built=7, cached=1
    )
    broken = {
        "steps": [
            row("steps", **place, kind="stages", name="finetune", state="failed", why="ChildError")
        ]
    }
    write_run(
        house.store, "broken", now, broken, state="failed", why="ChildError in stages/finetune"
    )


@cache
def _tables() -> bytes:
    """An empty registry's database: making one takes seconds."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "mlflow.db"
        make_database(f"sqlite:///{place}")
        return place.read_bytes()


def write_registry(house: House) -> None:
    """Two versions; the first was promoted, then the second, and it was rolled back."""
    place = house.root / ".state" / "mlflow"
    place.mkdir(parents=True)
    (place / "mlflow.db").write_bytes(_tables())
    registry = registry_at(f"sqlite:///{place / 'mlflow.db'}", place / "artifacts")
    tags = {
        f"cxrflow.{kind}.{made.step.name}": made.fingerprint for kind, made in house.made.items()
    }
    one, two = (add_version(registry, ABILITY, tags | {"n": str(n)}) for n in (1, 2))
    promotions = Promotions(registry, ABILITY, 0.0)
    promotions.promote(one, 0, Decision("ana@here", "the first"))
    promotions.promote(two, one, Decision("ben@here", f"better {SCRIPT}"))
    promotions.rollback(Decision("ana@here", "worse on films of children"))
    registry.point(ABILITY, "candidate", two)


@cache
def shared_house() -> House:
    """One house with a registry for all tests of this process, which only look at it."""
    folder = tempfile.mkdtemp(prefix="pages-house-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    found = write_house(Path(folder) / "data")
    write_registry(found)
    return found


def copied_house(folder: Path) -> House:
    """A house of one's own, to break; its artifacts' places are those of the shared one."""
    shared = shared_house()
    shutil.copytree(shared.root, folder / "data")
    return House(folder / "data", shared.made)


class Reply(NamedTuple):
    status: int
    body: bytes
    headers: Any

    @property
    def text(self) -> str:
        return self.body.decode()


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **more: Any) -> None:
        """A redirect is an answer too."""


@dataclass(frozen=True)
class Room:
    """A room that answers at ``url``."""

    url: str

    def ask(
        self, path: str, data: bytes | Mapping[str, str] | None = None, **headers: str
    ) -> Reply:
        """One request; ``Content_Type`` is the header of that name."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = (
            data
            if data is None or isinstance(data, bytes)
            else urllib.parse.urlencode(data).encode()
        )
        request = urllib.request.Request(self.url + path, raw, told)
        try:
            with urllib.request.build_opener(_Stay).open(request, timeout=60) as reply:
                return Reply(reply.status, reply.read(), reply.headers)
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.read(), error.headers)

    def form_key(self, path: str = "/ask", **headers: str) -> str:
        """What a form of that page carries."""
        return str(self.ask(path, **headers).text.split('name="form_key" value="')[1].split('"')[0])


@contextmanager
def open_room(root: Path, **changes: Any) -> Iterator[Room]:
    """A room over a data root for as long as the block lasts."""
    environment = load_environment(data_root=str(root))
    order = RoomOrder(
        **{"environment": environment, "port": 0, "serving": "http://127.0.0.1:9", **changes}
    )
    found, ready, stops = list[str](), threading.Event(), list[Any]()

    def say(url: str) -> None:
        found.append(url)
        ready.set()

    async def work() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        await room_until(stop, order, say)

    thread = threading.Thread(target=lambda: asyncio.run(work()), name="room")
    thread.start()
    try:
        assert ready.wait(START_SECONDS), "the room does not open"
        yield Room(found[0].replace("0.0.0.0", "127.0.0.1"))
    finally:
        stops[0]()
        thread.join(START_SECONDS)
        assert not thread.is_alive()
