"""``python -m models.draw run.json``: a film for every prompt.

Leaves ``drawings.parquet`` (DRAWING_SCHEMA, in the prompts' order) and, last, ``result.json``.
Finished films outlive a kill. Exit codes: 0 done, 2 bad input, 1 failed, 143 stopped by SIGTERM
with its films kept.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from infra.child import STOPPED_BY_SIGTERM, StopAtSigterm, report, run_child, write_json
from infra.errors import InputError
from infra.fingerprint import file_digest, fingerprint
from infra.log import LOGGER
from infra.runs import DrawRun
from models.drawing_sampler import DrawingSampler, Request
from sources.drawing import DRAWING_SCHEMA, PROMPT_SCHEMA

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
Row = dict[str, Any]


def draw(run: DrawRun) -> int:
    """Draw what no earlier run has drawn, then write all of it; returns the exit code."""
    started = time.monotonic()
    prompts = read_prompts(run.prompts)
    _require_file_names(run, prompts)
    sampler = DrawingSampler.load(run.model, run.draw, run.device, run.untrained)
    for row in () if run.any_view else prompts:
        sampler.require_learned(row["prompt"])
    report("start", prompts=len(prompts), steps=len(prompts))
    parts = (run.scratch or run.output / ".parts") / _run_key(run)
    parts.mkdir(parents=True, exist_ok=True)
    size = run.draw.batch_size
    with StopAtSigterm() as stop:
        for first in range(0, len(prompts), size):
            _draw_part(sampler, prompts[first : first + size], parts / f"{first:09d}.parquet")
            report("progress", step=min(first + size, len(prompts)), steps=len(prompts))
            if stop():
                return STOPPED_BY_SIGTERM
    _write_output(
        run, parts, [range(first, first + size) for first in range(0, len(prompts), size)]
    )
    seconds = time.monotonic() - started
    result: dict[str, object] = {"drawings": len(prompts), **run.draw.model_dump()}
    write_json(run.output / "result.json", result)
    report("done", seconds=round(seconds, 1), seconds_per_film=seconds / len(prompts), **result)
    return 0


def read_prompts(path: Path) -> list[Row]:
    """The rows of a prompts' file.

    Raises:
        InputError: it is absent, none, of another schema, empty, or names a prompt twice.
    """
    advice = "write it with sources.drawing.PROMPT_SCHEMA"
    try:
        table = pq.read_table(path).select(PROMPT_SCHEMA.names).cast(PROMPT_SCHEMA)
        rows: list[Row] = table.to_pylist()
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:  # ValueError: a null
        why = type(error).__name__
        raise InputError(f"{path}, which cannot be read ({why})", "prompts", advice) from error
    if not rows:
        raise InputError(f"no prompt in {path}", "one at least", advice)
    if len({row["prompt_id"] for row in rows}) < len(rows):
        raise InputError(f"a prompt_id twice in {path}", "ids that are unique", advice)
    return rows


def _require_file_names(run: DrawRun, prompts: Sequence[Row]) -> None:
    """Ids become names of files where PNGs are asked for: none may lead elsewhere."""
    if run.png and not all(_FILE_NAME.fullmatch(row["prompt_id"]) for row in prompts):
        raise InputError(
            f"a prompt_id in {run.prompts} that names no file",
            "letters, digits, '_', '.' and '-'",
            "rename it, or set png to false",
        )


def _run_key(run: DrawRun) -> str:
    """What the films depend on: settings, and the bytes of model and prompts."""
    told = run.model_dump(mode="json", include={"draw", "device", "untrained"})
    model = sorted(path for path in run.model.rglob("*") if path.is_file())
    digests = [file_digest(path) for path in model]
    return fingerprint(told | {"model": digests, "prompts": file_digest(run.prompts)})


def _draw_part(sampler: DrawingSampler, rows: Sequence[Row], file: Path) -> None:
    """Some prompts' films as one file, whole or absent; one that is there and whole is left."""
    if _is_whole(file):
        return
    films = sampler.draw([Request(row["prompt"], row["seed"]) for row in rows])
    height, width = films.shape[1:]
    drawn = [
        {**row, "width": width, "height": height, "pixels": _png(Image.fromarray(film))}
        for row, film in zip(rows, films, strict=True)
    ]
    partial = file.with_suffix(".partial")
    pq.write_table(
        pa.Table.from_pylist(drawn, schema=DRAWING_SCHEMA), partial, write_page_checksum=True
    )
    partial.replace(file)


def _is_whole(file: Path) -> bool:
    if not file.is_file():
        return False
    try:
        pq.read_table(file, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        LOGGER.warning("kept films %s are damaged, drawn again: %s", file.name, error)
        return False
    return True


def _png(film: Image.Image) -> bytes:
    buffer = io.BytesIO()
    film.save(buffer, "PNG")
    return buffer.getvalue()


def _write_output(run: DrawRun, parts: Path, spans: Sequence[range]) -> None:
    """All parts in their order as one file, and each film as a PNG where that is asked for."""
    run.output.mkdir(parents=True, exist_ok=True)
    partial = run.output / ".drawings.partial"
    with pq.ParquetWriter(partial, DRAWING_SCHEMA) as writer:
        for span in spans:
            table = pq.read_table(parts / f"{span.start:09d}.parquet")
            writer.write_table(table)
            for row in table.to_pylist() if run.png else ():
                (run.output / f"{row['prompt_id']}.png").write_bytes(row["pixels"])
    partial.replace(run.output / "drawings.parquet")
    shutil.rmtree(parts)


if __name__ == "__main__":
    sys.exit(run_child(DrawRun, draw))
