"""Draw the films of texts by the ability that draws, and have its classifier read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from infra.film_runs import CLASSIFIER, ReadFilmsRun
from infra.launch import Event
from infra.parent import run_in_child
from infra.parquet import write_table
from infra.runs import DrawRun
from sources.drawing import PROMPT_SCHEMA
from sources.film import FILM_SCHEMA
from tasks.context import Context
from tasks.draw.classifier import PIECE as CLASSIFIER_PIECE
from tasks.draw.films import row_digest
from tasks.films.work import read_films
from tasks.train.work import PIECE as MODEL_PIECE

if TYPE_CHECKING:
    from evaluation.statistics import Floats


def drawn_probabilities(
    context: Context,
    texts: Mapping[str, str],
    seed: int,
    scratch: Path,
    on_event: Callable[[Event], None],
) -> Floats:
    """(M, T) what the ability's classifier says of the film of each text, in their order.

    Args:
        context: of the ability that draws.
        texts: by id what is drawn, as ``cxr chat`` would: the span as it is.
    """
    import numpy as np

    scratch.mkdir(parents=True, exist_ok=True)
    prompts, films = scratch / "prompts.parquet", scratch / "films.parquet"
    rows = [
        {"prompt_id": name, "prompt": text, "seed": int.from_bytes(row_digest(seed, name)[:4])}
        for name, text in texts.items()
    ]
    write_table(prompts, pa.Table.from_pylist(rows, schema=PROMPT_SCHEMA))
    run = DrawRun(
        model=context.artifact(f"stages/{context.asked.stage}").local_folder(MODEL_PIECE),
        draw=context.asked.films.sampler,
        prompts=prompts,
        output=scratch / "drawn",
        scratch=scratch / "parts",
    )
    run_in_child("models.draw", run, scratch, on_event)
    drawn = pq.read_table(run.output / "drawings.parquet", columns=["prompt_id", "pixels"])
    columns = {"film_id": drawn["prompt_id"], **{name: drawn[name] for name in drawn.column_names}}
    write_table(films, pa.table(columns, schema=FILM_SCHEMA))
    read = read_films(
        ReadFilmsRun(
            films=(films,),
            classifier=context.artifact(f"classifiers/{context.ability}").local_folder(
                CLASSIFIER_PIECE
            ),
            output=scratch / "read",
        ),
        scratch / "reading",
        on_event,
    )
    return np.stack([read[CLASSIFIER][name] for name in texts])
