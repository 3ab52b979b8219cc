"""Raw data of seven sources in their published proportions, and the answers to their questions.

    python -m tests.bench.scale_world raw FOLDER STUDIES [SOURCE ...]
    python -m tests.bench.scale_world answers FOLDER

Each runs in processes of its own, which a measurement does not count.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pyarrow.parquet as pq

from infra.fingerprint import code_digests, fingerprint
from infra.llm.cache import AnswerCache, StoredAnswer
from infra.llm.compaction import compact
from infra.llm.request import ChatRequest, schema_name
from sources.catalog import get_source
from sources.replicas.truth import ReplicaSpec
from tasks.context import Context, Order, open_context
from tasks.reports.offline_answers import MODEL, answer_question
from tasks.reports.offline_server import RULES
from tasks.reports.offline_wire import CHARACTERS_PER_TOKEN
from tasks.reports.routes import piece_requests
from tests.bench.scale_films import quick_films

PUBLISHED: dict[str, int] = {
    "mimic_cxr": 227_835,
    "chexpert": 187_641,
    "padchest": 110_000,
    "vindr_cxr": 18_000,
    "brax": 24_959,
    "candid_ptx": 19_237,
    "object_cxr": 10_000,
}
"""Studies of each source (source_formats 1, 4 and 6 to 10). PadChest's are not told: our estimate
from over 160,000 images. Together 597,672."""
SIDE_PX = 32
"""Our choice: the smallest film in which the hash's frequencies fit; tables and texts are what is
measured."""
OVERRIDES = (
    f"images.short_side_px={SIDE_PX}",
    "images.smallest_side_px=16",
    f'reports.model="{MODEL}"',
    "reports.largest_failed_share=0.2",
)
"""What differs from the paper's recipe: tiny films, answered by rules, whose translations of
PadChest's stems fail more checks than GPT-4's."""
READY = "ready.json"


def shares(studies: int) -> dict[str, int]:
    """Studies of each source, so that all together are ``studies``."""
    total = sum(PUBLISHED.values())
    counts = {name: round(studies * number / total) for name, number in PUBLISHED.items()}
    counts["mimic_cxr"] += studies - sum(counts.values())
    return counts


def order_of(folder: Path) -> Order:
    """Everything up to the examples of LLaVA-Rad at the paper's scale, from these raw files."""
    sources = tuple(f"{name}={folder / 'raw' / name}" for name in PUBLISHED)
    return Order(
        recipe="llava_rad", scale="paper", overrides=OVERRIDES, sources=sources,
        data_root=str(folder / "data"),
    )  # fmt: skip


def write_raw(folder: Path, studies: int, names: Sequence[str] = tuple(PUBLISHED)) -> None:
    """The raw tree of each source, unless it is there with as many studies."""
    for name in names:
        root, count = folder / "raw" / name, shares(studies)[name]
        ready = folder / f"{name}-{READY}"
        if ready.exists() and json.loads(ready.read_text()) == count:
            continue
        write = get_source(name).write_replica
        assert write is not None
        with quick_films():
            write(root, ReplicaSpec(studies=count, side_px=SIDE_PX, seed=5))
        ready.write_text(json.dumps(count))


def write_all_raw(folder: Path, studies: int) -> None:
    """Two processes: MIMIC-CXR and CANDID-PTX in one, the others in the other."""
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    first = ("mimic_cxr", "candid_ptx")
    halves = (first, tuple(name for name in PUBLISHED if name not in first))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(write_raw, folder, studies), halves))


def fill_answers(folder: Path) -> int:
    """Store what the rules say to every question of the sources' studies; how many there are.

    They go to Parquet, where a run of this size would have left them.
    """
    context = open_context(order_of(folder))
    rules = fingerprint(code_digests(RULES))
    number = 0
    with closing(AnswerCache(context.environment.state, rules)) as cache:
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            for answers in pool.map(_answer_piece, *zip(*_pieces(context), strict=True)):
                for answer in answers:
                    cache.put(answer)
                number += len(answers)
        compact(cache)
    return number


def _pieces(context: Context) -> Iterator[tuple[Context, Path, str]]:
    for name in context.source_names:
        for path in context.artifact(f"studies/{name}").files("studies.parquet"):
            for route in context.settings.sources.routes[name]:
                if route != "keep":
                    yield context, path, route


def _answer_piece(context: Context, path: Path, route: str) -> list[StoredAnswer]:
    requests = piece_requests(pq.read_table(path), route, context.settings.reports)  # type: ignore[arg-type]
    return [_answer(request) for request in requests]


def _answer(request: ChatRequest) -> StoredAnswer:
    """As the offline server answers."""
    messages = [{"role": each.role, "content": each.content} for each in request.messages]
    schema = {"name": schema_name(request.answer)}
    shape = {"type": "json_schema", "json_schema": schema}
    text = answer_question({"messages": messages, "response_format": shape, "seed": request.seed})
    asked = sum(len(each.content) for each in request.messages) // CHARACTERS_PER_TOKEN
    said = len(text) // CHARACTERS_PER_TOKEN + 1
    key, version = request.identity(), request.prompt_version
    return StoredAnswer(key, "ok", text, MODEL, version, asked, said, 0.0, "2026-01-01")


def main() -> None:
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "raw" and len(sys.argv) > 4:
        write_raw(folder, int(sys.argv[3]), sys.argv[4:])
    elif what == "raw":
        write_all_raw(folder, int(sys.argv[3]))
    else:
        sys.stdout.write(f"{fill_answers(folder)} answers\n")


if __name__ == "__main__":
    main()
