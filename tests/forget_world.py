"""A small data root in which everything is that a subject may stand in, and a scanner of its own.

Two sources' worth of steps run for real (studies, images, reports, examples); trained stages,
predictions, scores, the registry and a stopped run's leavings are put there as the later steps
leave them. ``find_traces`` knows nothing of the product: it opens every file that lies there.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel
from raw_world import look, write_raw

from infra.artifact import build_artifact
from infra.egress import Egress
from infra.llm.cache import AnswerCache, StoredAnswer
from infra.llm.compaction import compact
from infra.llm.owners import Owners
from infra.llm.request import ChatRequest
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.tracking_runs import RunBook
from sources.prediction import PREDICTION_SCHEMA
from sources.record import Split
from tasks.context import Context
from tasks.dialogues.work import write_dialogues
from tasks.examples.work import write_examples
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies
from tasks.register.work import lineage_tags
from tasks.reports.connection import Teacher
from tasks.reports.work import write_reports
from tasks.train.work import example_files

SETTINGS = (
    'sources.routes={mimic_cxr=["keep","structure"]}',
    "sources.pieces=6",
    'dialogues.routes={mimic_cxr=["converse","request"]}',
    "dialogues.largest_failed_share=0.5",
    "images.short_side_px=112",
    "readings=[]",
)
SOURCE = "mimic_cxr"
STUDIES = 24
MODEL = "llava-rad-tiny"
OVERLAY = b"\x89PNG\r\n\x1a\n a heat map over a film"
DEAD = f"{gethostname()}-99999999"
"""Scratch of a process of this machine that is no more: Linux gives no such number."""


class Answer(BaseModel):
    """What the requests that are left behind ask for."""

    text: str


@dataclass(frozen=True)
class Person:
    """A subject with words of their own in each report."""

    subject: str
    studies: tuple[str, ...]
    images: tuple[str, ...]
    split: str

    def words(self, study: str) -> str:
        return f"The zebra mark of plate {study} crosses the apex."


@dataclass(frozen=True)
class ForgetWorld:
    """Where it lies, and who is in it, by split."""

    raw: Path
    data: Path
    people: dict[str, Person]

    def copy(self, folder: Path) -> ForgetWorld:
        """Another data root for a test of its own; the raw files are shared."""
        shutil.copytree(self.data, folder / "data")
        moved = {str(self.data): str(folder / "data")}
        _move_paths(folder / "data", moved)
        return ForgetWorld(self.raw, folder / "data", self.people)

    def context(self) -> Context:
        return look(self.data, {SOURCE: self.raw}, *SETTINGS)


def _move_paths(root: Path, moved: dict[str, str]) -> None:
    """MLflow's database names absolute places."""
    database = root / ".state" / "mlflow" / "mlflow.db"
    with closing(sqlite3.connect(database)) as run, run:
        for old, new in moved.items():
            for table, column in (
                ("experiments", "artifact_location"),
                ("runs", "artifact_uri"),
                ("model_versions", "source"),
            ):
                run.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, new))


def build_world(folder: Path) -> ForgetWorld:
    """Everything, once for all tests."""
    raw = write_raw(SOURCE, folder / "raw", STUDIES)
    plant_words(raw)
    context = look(folder / "data", {SOURCE: raw}, *SETTINGS)
    ingest_studies(context, SOURCE)
    ingest_images(context, SOURCE)
    with Teacher(context.environment) as teacher:
        write_reports(context, SOURCE, teacher)
        write_dialogues(context, SOURCE, teacher)
    with closing(AnswerCache(context.store.state)) as cache:
        compact(cache)
    for name in context.settings.sets:
        write_examples(context, name)
    world = ForgetWorld(raw, folder / "data", people_of(context))
    _train(context)
    _predict(context)
    _score(context)
    _register(context)
    for person in world.people.values():
        _leave_behind(context, person)
    return world


def plant_words(raw: Path) -> None:
    """A sentence in each report that no other has."""
    for path in sorted(raw.glob("files/p*/p*/s*.txt")):
        study = path.stem.removeprefix("s")
        path.write_text(f"{path.read_text()} The zebra mark of plate {study}\ncrosses the apex.\n")


def people_of(context: Context) -> dict[str, Person]:
    """Of each split a subject with examples and two studies, or nearly so."""
    rows = [
        row
        for path in context.artifact(f"studies/{SOURCE}").files("studies.parquet")
        for row in pq.read_table(path).to_pylist()
    ]
    found: dict[str, Person] = {}
    for split in Split:
        shards = [pq.read_table(path)["subject_id"] for path in example_files(context, split)]
        shown = {name for column in shards for name in column.to_pylist()}
        own: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if row["split"] == split and row["subject_id"] in shown:
                own.setdefault(row["subject_id"], []).append(row)
        subject, studies = min(sorted(own.items()), key=lambda item: abs(len(item[1]) - 2))
        found[str(split)] = Person(
            subject,
            tuple(sorted(row["study_id"] for row in studies)),
            tuple(sorted(one["image_id"] for row in studies for one in row["images"])),
            str(split),
        )
    return found


def put(context: Context, key: str, files: dict[str, bytes | pa.Table], *counts: Count) -> None:
    """An artifact of one piece, as its step would leave it."""

    def write(_: str, folder: Path) -> BuiltPiece:
        for name, content in files.items():
            if isinstance(content, bytes):
                (folder / name).write_bytes(content)
            else:
                write_table(folder / name, content)
        return BuiltPiece(counts, {})

    build_artifact(context.store, context.graph[key], lambda: {"test": ""}, partial(write))


def _train(context: Context) -> None:
    for stage in context.settings.stages:
        weights = f"weights of {stage.name}".encode() * 40
        put(context, f"stages/{stage.name}", {"model.safetensors": weights})


def _tested(context: Context) -> list[dict[str, Any]]:
    paths = example_files(context, Split.TEST)
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def _predict(context: Context) -> None:
    """The model repeats the reference; the control shows the next study's film."""
    tested, rows = _tested(context), []
    for place, row in enumerate(tested):
        other = tested[(place + 1) % len(tested)]
        told = {name: row[name] for name in ("example_id", "source", "study_id", "subject_id")}
        rest = {"split": "test", "view": "PA", "finish_reason": "stop", "tokens": 3}
        said = {"reference": row["target"], "generated_ids": [1, 2]}
        for control, shown in (("none", row), ("shuffled", other)):
            rows.append(
                {**told, **rest, **said, "control": control, "image_study_id": shown["study_id"],
                 "prediction": f"Seen: {shown['target']}"}
            )  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA)
    counted = Count("predictions", len(rows), len(rows))
    key = f"predictions/{context.ability}"
    put(context, key, {"predictions.parquet": table, "result.json": b"{}"}, counted)


def _score(context: Context) -> None:
    """A page with a film inside and its text around it, and a picture beside."""
    row = _tested(context)[0]
    film = base64.b64encode(row["images"][0]["pixels"]).decode()
    page = f"<p>{html.escape(row['target'])}</p><img src='data:image/jpeg;base64,{film}'>"
    files = {"scores.html": page.encode(), "overlay-00.png": OVERLAY}
    put(context, f"scores/{context.ability}", {**files, "scores.json": b'{"bleu": 1}'})


def _register(context: Context) -> None:
    """Two versions: one of these stages, one of others."""
    book = RunBook(context.environment.tracking_uri, "llava_rad", context.store.state / "mlflow")
    run = book.nested_run("none", "ground", {}, {})
    picture = context.store.state / "overlay-00.png"
    picture.write_bytes(OVERLAY)
    run.log_files([picture], "overlays")
    picture.unlink()
    run.end("FINISHED")
    client = book.client
    client.create_registered_model(MODEL)
    for number, tags in enumerate((lineage_tags(context), {"cxrflow.stages.finetune": "0" * 16})):
        client.create_model_version(MODEL, "file:///nowhere", run.run_id, tags=tags)
        client.set_registered_model_alias(MODEL, ("champion", "other")[number], str(number + 1))
    put(context, f"models/{context.ability}", {"registered.json": b"{}"})


def _leave_behind(context: Context, person: Person) -> None:
    """What killed runs, servers and failed requests leave of a person."""
    state, study = context.store.state, person.studies[0]
    said = person.words(study)
    scratch = Path(context.store.path(".scratch")) / f"{DEAD}-{study}"
    own = f"{len(person.split)}" * 16
    for place in (scratch, state / "predictions" / own / "parts"):
        place.mkdir(parents=True)
        pq.write_table(pa.table({"prediction": [said]}), place / "part.parquet")
    log = state / "stages" / f"finetune-{own}"
    log.mkdir(parents=True)
    (log / "stderr.log").write_text(f"skipped example {SOURCE}/{study}/x/keep\n")
    answer = json.dumps({"findings": said, "impression": None})
    with closing(AnswerCache(state)) as cache:
        cache.put(StoredAnswer(study.rjust(32, "f"), "ok", answer, "m", "s-1", 1, 1, 0.0, "now"))
    with closing(Owners(state)) as owners:
        asked = ChatRequest(
            SOURCE, Egress.ANY, "m", (), Answer, "s-1", 0.0, None, 9, study, person.subject
        )
        owners.note((study.rjust(32, first), asked) for first in "fe")
    _fill(state / "llm-quarantine.sqlite", study.rjust(32, "e"), json.dumps({"m": [["u", said]]}))
    home = state / "prefect"
    home.mkdir(exist_ok=True)
    with closing(sqlite3.connect(home / "prefect.db")) as run, run:
        run.execute("PRAGMA journal_mode=WAL")
        run.execute("PRAGMA secure_delete=OFF")  # some systems build SQLite with it on
        run.execute("CREATE TABLE IF NOT EXISTS log (id TEXT PRIMARY KEY, message TEXT, data TEXT)")
        told = json.dumps({"found": said.replace(" of ", "\n of ")})
        run.execute(
            "INSERT INTO log VALUES (?, ?, ?)",
            (f"row-{person.split}", f"study {study} again", told),
        )
        run.execute("INSERT INTO log VALUES (?, ?, ?)", (f"gone-{study}", f"study {study}", told))
        run.execute("DELETE FROM log WHERE id = ?", (f"gone-{study}",))


def _fill(path: Path, key: str, request: str) -> None:
    from infra.llm.quarantine import _connect

    with closing(_connect(path)) as run:
        run.execute(
            "INSERT INTO failures VALUES (?, 'refused', 'mimic_cxr', 'any', 'm', 's-1', ?, 'h', 1, "
            "1, 0, 'now', 1, NULL)",
            (key, request),
        )


@dataclass(frozen=True)
class Traces:
    """What a person may not be told by, gathered before they are forgotten."""

    words: tuple[bytes, ...]
    pictures: tuple[bytes, ...]


def traces_of(world: ForgetWorld, person: Person) -> Traces:
    """Ids, sentences, pictures and their hashes, from the stored images and studies."""
    words = {person.subject, *person.studies, *person.images}
    words |= {"The zebra mark of plate " + study for study in person.studies}
    pictures: set[bytes] = set()
    for path in world.data.glob("images/*/*/images.parquet"):
        for row in pq.read_table(path, partitioning=None).to_pylist():
            if row["study_id"] in person.studies:
                pictures |= {row["pixels"], row["perceptual_hash"]}
                words |= {row["raw_digest"], row["perceptual_hash"].hex()}
    assert pictures, "a film is stored"
    return Traces(tuple(sorted(word.encode() for word in words)), tuple(sorted(pictures)))


def find_traces(root: Path, traces: Traces) -> list[str]:
    """Places under a folder where any of it stands, however it is packed."""
    found = []
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).as_posix()
        if any(word in inside.encode() for word in traces.words):
            found.append(f"name {inside}")
        if path.is_file():
            found += [
                f"{inside}: {what}" for data in unpacked(path) for what in _hits(data, traces)
            ]
    return found


def _hits(data: bytes, traces: Traces) -> Iterator[str]:
    flat = re.sub(rb"(\s|\\n)+", b" ", data)
    for word in traces.words:
        if word in data or word in flat:
            yield word.decode()
    for picture in traces.pictures:
        middle = picture[len(picture) // 2 :][:24]
        whole = base64.b64encode(picture)
        coded = whole[len(whole) // 2 :][:60]
        if middle in data or coded in data:
            yield "a picture"


def unpacked(path: Path) -> Iterator[bytes]:
    """A file's bytes, then all that is inside of it."""
    data = path.read_bytes()
    yield data
    if data[:4] == b"PAR1":
        for row in pq.read_table(path, partitioning=None).to_pylist():
            yield from _values(row)
    elif data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    elif data[:2] == b"PK":
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    elif data[:15] == b"SQLite format 3":
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as run:
            run.text_factory = bytes
            for (table,) in run.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
                for row in run.execute(f'SELECT * FROM "{table.decode()}"').fetchall():
                    yield from _values(list(row))


def _values(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _values(each)
    elif isinstance(value, str):
        yield value.encode()
    elif isinstance(value, bytes):
        yield value


def asked_about(world: ForgetWorld) -> dict[str, set[str]]:
    """Hashes of the requests behind every report and dialogue, by study."""
    found: dict[str, set[str]] = {}
    for kind in ("reports", "dialogues"):
        for path in world.data.glob(f"{kind}/*/*/{kind}.parquet"):
            for row in pq.read_table(path, partitioning=None).to_pylist():
                if row["request_hash"]:
                    found.setdefault(row["study_id"], set()).add(row["request_hash"])
    return found


def answered(world: ForgetWorld) -> set[str]:
    """Hashes of all requests whose answers are stored, wherever they are."""
    state = world.data / ".state"
    with closing(sqlite3.connect(state / "llm-answers.sqlite")) as run:
        keys = {key for (key,) in run.execute("SELECT request_hash FROM answers")}
    for path in state.glob("llm-answers/*.parquet"):
        keys |= set(pq.read_table(path)["request_hash"].to_pylist())
    return {key.partition("@")[0] for key in keys}


def checksums(world: ForgetWorld) -> dict[str, str]:
    """Digest of every payload file by artifact, piece and name."""
    return {
        f"{manifest.parent.relative_to(world.data)}/{piece['key']}/{file['name']}": file["digest"]
        for manifest in sorted(world.data.glob("*/*/manifest.json"))
        for piece in json.loads(manifest.read_text())["pieces"]
        for file in piece["files"]
    }
