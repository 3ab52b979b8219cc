"""Which views a recipe's stage that draws has been shown."""

from __future__ import annotations

import pyarrow as pa

from infra.errors import ArtifactError
from infra.log import LOGGER
from sources.learned_views import VIEWS, count_views, read_views
from sources.record import Split
from sources.selection import selection_of
from tasks.context import Context
from tasks.train.work import PIECE, example_files


def learned_views(context: Context, name: str) -> dict[str, int] | None:
    """Training examples by view, as the stage's folder tells; an older one's are counted again in
    the shards that it was trained on. None where nobody knows: the weights are ready ones, or the
    shards are gone, or elsewhere and would be fetched whole for it."""
    stage = context.settings.stage(name)
    try:
        folder = context.artifact(f"stages/{name}").local_folder(PIECE)
        told = read_views(folder / "config.json", VIEWS)
        if told is not None or stage.weights or not context.store.is_local:
            return told
        shards = example_files(context, Split.TRAIN, context.settings.sets_of(stage))
        return count_views(shards, selection_of(stage))
    except (ArtifactError, OSError, pa.ArrowException) as error:
        LOGGER.warning("which views %s has learned is not known: %s", name, error)
        return None
