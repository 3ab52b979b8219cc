"""The page about drawn films and its contact sheet; pictures come of replicas and open data alone.

A drawn film of another source shows what a model has learned of people whose films may not leave
the data root, so it is held back like theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sources.catalog import get_source
from sources.drawing import UNTRAINED
from tasks.context import Context
from tasks.draw.films import TRAINED
from tasks.draw.readings import Films, Read
from tasks.examples.funnel import examples_funnel
from tasks.monitor.outcome import losses
from tasks.score.page import fingerprints
from tasks.score.work import PAGE_FILE

if TYPE_CHECKING:
    from evaluation.contact_sheet import SheetRow

SHEET_FILE: Final = "contact-sheet.png"
SHOWN: Final = 8
"""Prompts on the sheet. Our choice: a person looks at that many."""


def write_drawn_page(
    context: Context, films: Films, read: Read | None, document: Mapping[str, Any], folder: Path
) -> list[str]:
    """Write ``report.html`` and, where a picture may be shown, the contact sheet.

    Returns:
        names of pictures that may leave the data root.
    """
    from evaluation.contact_sheet import draw_sheet
    from evaluation.drawn_page import DrawnPage, render_drawn

    replicas = frozenset(step.name for step in context.graph.of_kind("replicas"))
    sheet = [] if read is None else sheet_rows(films, read, replicas)
    examples = context.artifact(f"examples/{context.asked.examples}")
    page = DrawnPage(
        recipe=context.settings.recipe,
        scale=context.settings.scale,
        ability=context.ability,
        made_on=f"predictions {context.step('predictions').fingerprint}",
        fingerprints=fingerprints(context),
        funnel=examples_funnel(examples.pieces),
        losses=losses(context),
        document=document,
        replicas=replicas & {row["source"] for row in films.prompts},
        sheet=sheet,
    )
    (folder / PAGE_FILE).write_text(render_drawn(page))
    if not sheet:
        return []
    (folder / SHEET_FILE).write_bytes(draw_sheet(sheet))
    return [SHEET_FILE]


def sheet_rows(films: Films, read: Read, replicas: frozenset[str]) -> list[SheetRow]:
    """The first prompts, whose order is drawn by a seed, of sources that may be shown."""
    from evaluation.contact_sheet import SheetRow

    shown = [row for row in films.prompts if may_be_shown(row["source"], replicas)][:SHOWN]
    bare = {row["example_id"]: row["pixels"] for row in films.drawn[UNTRAINED]}
    told = read.readings["classifier"][TRAINED]
    found = []
    for row in shown:
        name = row["example_id"]
        asked = asked_for(row["reference"])
        found.append(
            SheetRow(
                source=row["source"],
                study_id=row["study_id"],
                is_replica=row["source"] in replicas,
                asked=asked,
                read={target: float(told[name][_place(target)]) for target in asked},
                real=films.real[name],
                drawn=row["pixels"],
                untrained=bare[name],
            )
        )
    return found


def may_be_shown(source: str, replicas: frozenset[str]) -> bool:
    """Whether pictures of a source may stand on a page and leave the data root."""
    return source in replicas or get_source(source).card.redistributable


def asked_for(text: str) -> tuple[str, ...]:
    """Findings that a text asserts; those with a side only with it."""
    from evaluation.film_targets import FINDINGS, SIDES, TARGETS, film_targets, sided

    told = dict(zip(TARGETS, film_targets([text])[0].tolist(), strict=True))
    found: list[str] = []
    for finding in FINDINGS:
        if told[finding] == 1.0:
            sides = [sided(finding, side) for side in SIDES]
            found += [each for each in sides if told.get(each) == 1.0] or [finding]
    return tuple(found)


def _place(target: str) -> int:
    from evaluation.film_targets import place_of

    return place_of(target)
