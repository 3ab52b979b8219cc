"""The page about grounding and its overlays; pictures of gated sources stay under the data root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.grounding import Grounding
from evaluation.grounding_choice import Grounded, heat_of
from evaluation.grounding_maps import energy_inside, points_inside, sharpened
from evaluation.grounding_page import GroundingPage, ShownSentence, render_grounding
from evaluation.overlay import draw_overlay, seen_film
from evaluation.statistics import Floats
from infra.tables import connect
from sources.catalog import get_source
from tasks.context import Context
from tasks.ground.outcome import PAGE_FILE
from tasks.ground.texts import Texts

MAPS_FILE = "maps.parquet"


def write_page(context: Context, grounding: Grounding, texts: Texts, folder: Path) -> list[str]:
    """Write ``grounding.html`` and ``overlay-NN.png``.

    Returns:
        names of the overlays that may leave the data root: of replicas and redistributable data.
    """
    maps = _chosen_maps(folder / MAPS_FILE, grounding.choice.method) if texts.sentences else {}
    replicas = frozenset(step.name for step in context.graph.of_kind("replicas"))
    shown, shareable = [], []
    for number, row in enumerate(_spread(grounding, texts, maps, context.settings.ground.overlays)):
        one = _shown(texts, texts.sentences[row], maps, grounding.choice.sharpness, replicas)
        shown.append(one)
        name = f"overlay-{number:02d}.png"
        (folder / name).write_bytes(one.own_png)
        if one.source in replicas or get_source(one.source).card.redistributable:
            shareable.append(name)
    page = GroundingPage(
        recipe=context.settings.recipe,
        scale=context.settings.scale,
        fingerprint=context.step("grounding").fingerprint,
        grounding=grounding,
        shown=shown,
        replicas=replicas & {one.source for one in texts.sentences},
    )
    (folder / PAGE_FILE).write_text(render_grounding(page))
    return shareable


MapKey = tuple[str, int, str]
"""Example, sentence and control."""


def _chosen_maps(path: Path, method: str) -> dict[MapKey, Mapping[str, Any]]:
    with connect() as connection:
        rows = connection.sql(
            "SELECT * REPLACE (values::FLOAT[] AS values) FROM read_parquet($1) WHERE method = $2",
            params=[str(path), method],
        ).to_arrow_table()
    return {(row["example_id"], row["sentence"], row["control"]): row for row in rows.to_pylist()}


def _spread(
    grounding: Grounding, texts: Texts, maps: Mapping[MapKey, Mapping[str, Any]], count: int
) -> list[int]:
    """Rows of sentences, evenly spaced from the lowest energy to the highest: neither the best nor
    the worst alone. Focal and sided ones where there are enough."""
    focal = [row for row, one in enumerate(texts.sentences) if one.is_focal_sided]
    rows = focal if len(focal) >= count else list(range(len(texts.sentences)))
    power = grounding.choice.sharpness
    energies = [
        energy_inside(_heat(maps, texts.sentences[row], "none", power), texts.sentences[row].boxes)
        for row in rows
    ]
    order = [rows[place] for place in np.argsort(energies, kind="stable")]
    if count == 0 or not order:
        return []
    places = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    return [order[place] for place in places]


def _heat(
    maps: Mapping[MapKey, Mapping[str, Any]], one: Grounded, control: str, power: float
) -> Floats:
    return sharpened(heat_of(maps[one.example_id, one.sentence, control]), power)


def _shown(
    texts: Texts,
    one: Grounded,
    maps: Mapping[MapKey, Mapping[str, Any]],
    power: float,
    replicas: frozenset[str],
) -> ShownSentence:
    own, other = (_heat(maps, one, control, power) for control in ("none", "shuffled"))
    film, other_film = (
        _film(texts.rows, maps[one.example_id, one.sentence, control]["image_example_id"])
        for control in ("none", "shuffled")
    )
    return ShownSentence(
        source=one.source,
        study_id=one.study_id,
        text=one.text,
        words=one.words,
        names=one.names,
        is_replica=one.source in replicas,
        own_png=draw_overlay(seen_film(film), own, one.boxes, one.words) if film else b"",
        other_png=draw_overlay(seen_film(other_film), other, one.boxes, one.words)
        if other_film
        else None,
        energy=energy_inside(own, one.boxes),
        shuffled=energy_inside(other, one.boxes),
        pointing=points_inside(own, one.boxes),
    )


def _film(rows: Sequence[Mapping[str, Any]], example_id: str | None) -> bytes | None:
    """The stored picture that a map was made of; None for a blank one."""
    for row in rows:
        if row["example_id"] == example_id:
            pixels: bytes = row["images"][0]["pixels"]
            return pixels
    return None
