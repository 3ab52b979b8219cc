"""Draw films for test prompts, by the trained model and by an untrained one of its shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from infra.artifact import Artifact, build_artifact
from infra.launch import Event
from infra.log import LOGGER
from infra.parent import run_in_child
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.runs import DrawRun
from infra.settings.film_ability import FilmAbilitySettings
from sources.drawing import AGAIN, DRAWN_FILM_SCHEMA, PROMPT_SCHEMA, UNTRAINED, drawing_prompt
from sources.record import Split
from tasks.context import Context
from tasks.predict.work import PREDICTIONS_FILE, no_test_examples
from tasks.train.work import PIECE, example_files

TRAINED: Final = "none"
"""The model itself, as among the controls of other abilities."""
_TOLD: Final = ("example_id", "source", "study_id", "subject_id", "split", "target")
Row = dict[str, Any]


def draw_films(context: Context, on_event: Callable[[Event], None]) -> Artifact:
    """One film for each chosen test prompt and more for some, by either model."""
    return build_artifact(
        context.store,
        context.step("predictions"),
        lambda: {TRAINED: "", UNTRAINED: ""},
        partial(_draw, context, on_event),
    )


def _draw(
    context: Context, on_event: Callable[[Event], None], key: str, folder: Path
) -> BuiltPiece:
    asked = context.asked.films
    rows = list(_requests(chosen_rows(context), asked, key))
    if not rows:
        LOGGER.warning("nothing to draw: %s", no_test_examples(context))
        write_table(folder / PREDICTIONS_FILE, DRAWN_FILM_SCHEMA.empty_table())
        return BuiltPiece((Count("films", 0, 0),))
    scratch = context.store.state / "drawn" / context.step("predictions").fingerprint / key
    prompts = scratch / "prompts.parquet"
    scratch.mkdir(parents=True, exist_ok=True)
    told = [{"prompt_id": row["film_id"], "prompt": row["prompt"], "seed": row["seed"]}
            for row in rows]  # fmt: skip
    write_table(prompts, pa.Table.from_pylist(told, schema=PROMPT_SCHEMA))
    run = DrawRun(
        model=context.artifact(f"stages/{context.asked.stage}").local_folder(PIECE),
        draw=asked.sampler,
        prompts=prompts,
        output=scratch / "drawn",
        scratch=scratch / "parts",
        untrained=asked.seed if key == UNTRAINED else None,
        any_view=True,  # scores tell how many are of a view that it has not been shown
    )
    facts = run_in_child("models.draw", run, scratch, on_event)
    drawn = pq.read_table(run.output / "drawings.parquet", columns=["width", "height", "pixels"])
    films = [{**row, **film} for row, film in zip(rows, drawn.to_pylist(), strict=True)]
    write_table(folder / PREDICTIONS_FILE, pa.Table.from_pylist(films, schema=DRAWN_FILM_SCHEMA))
    pace: Row = {name: facts[name] for name in ("seconds", "seconds_per_film") if name in facts}
    return BuiltPiece((Count("films", len(rows), len(films)),), {}, pace)


def chosen_rows(context: Context, split: Split = Split.TEST) -> list[Row]:
    """Examples of a split with a film, in a seeded order that does not depend on shards: as many as
    there are prompts."""
    asked = context.asked.films
    rows = [row for file in example_files(context, split) for row in _rows(file)]
    rows.sort(key=lambda row: row_digest(asked.seed, row["example_id"]))
    return rows[: asked.prompts]


def _rows(file: Path) -> list[Row]:
    table = pq.ParquetFile(file).read(columns=[*_TOLD, "images.list.element.view"])
    return [row for row in table.to_pylist() if row["images"]]


def row_digest(*told: object) -> bytes:
    """Eight bytes that order rows, or seed them, whatever shards they lie in."""
    return blake2b("\t".join(map(str, told)).encode(), digest_size=8).digest()


def _requests(rows: Sequence[Row], asked: FilmAbilitySettings, key: str) -> Iterator[Row]:
    """DRAWN_FILM_SCHEMA rows without their films; the untrained model draws each prompt once, from
    the same noise as the trained one."""
    for place, row in enumerate(rows):
        repeats = asked.films if place < asked.repeated and key == TRAINED else 1
        name, view = row["example_id"], row["images"][0]["view"]
        for number in range(repeats):
            control = key if number == 0 else AGAIN
            yield {
                **{field: row[field] for field in _TOLD if field != "target"},
                "view": view,
                "control": control,
                "film_id": f"{name}#{UNTRAINED if key == UNTRAINED else number}",
                "prompt_id": name,
                "prompt": drawing_prompt(view, row["target"]),
                "reference": row["target"],
                "seed": int.from_bytes(row_digest(asked.seed, name, number)[:4]),
            }
