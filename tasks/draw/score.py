"""Score drawn films: distances, likeness, findings, sides and reports, beside real films."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from infra.artifact import Artifact, build_artifact
from infra.errors import InputError
from infra.launch import Event
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from sources.drawing import AGAIN, UNTRAINED
from tasks.context import Context
from tasks.draw.films import TRAINED
from tasks.draw.learned import learned_views
from tasks.draw.page import write_drawn_page
from tasks.draw.readings import (
    REAL,
    TRAIN,
    Films,
    Read,
    gather_films,
    judged_films,
    read_all,
    viewed_films,
)
from tasks.draw.reports import NO_REPORTER, REPORTS_SCHEMA, write_reports
from tasks.films.work import features_of
from tasks.predict.work import no_test_examples
from tasks.score.work import EXAMPLES_FILE, PIECE, SCORES_FILE

if TYPE_CHECKING:
    from evaluation.drawn_scores import DrawnDifference, DrawnScores, FoundOfViews
    from evaluation.image_quality import ImageScore, Scored

REPORTS_FILE: Final = "reports.parquet"
PROBABILITIES_SCHEMA: Final = pa.schema(
    [
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("study_id", pa.string(), nullable=False),
        pa.field("control", pa.string(), nullable=False),
        pa.field("probabilities", pa.list_(pa.float32()), nullable=False),
    ]
)
"""What the classifier says of a drawn, an untrained model's (``untrained``) and a real film, in the
order of ``evaluation.film_targets.TARGETS``."""


def score_films(context: Context, on_event: Callable[[Event], None]) -> Artifact:
    """Scores with intervals, what was read and written of each film, and ``report.html``."""
    return build_artifact(
        context.store,
        context.step("scores"),
        lambda: {PIECE: ""},
        partial(_score, context, on_event),
    )


def _score(
    context: Context, on_event: Callable[[Event], None], key: str, folder: Path
) -> BuiltPiece:
    from evaluation.drawn_scores import nothing_drawn

    del key
    films = gather_films(context)
    scratch = context.store.state / "scores" / context.step("scores").fingerprint
    reports, probabilities = REPORTS_SCHEMA.empty_table(), PROBABILITIES_SCHEMA.empty_table()
    read = None
    if films.prompts:
        read = read_all(context, films, scratch / "read", on_event)
        probabilities = _probabilities(films, read)
        scores, reports = _scored(context, films, read, scratch / "reports", on_event)
    else:
        scores = nothing_drawn(no_test_examples(context))
    document = scores.to_dict()
    (folder / SCORES_FILE).write_text(json.dumps(document, indent=1) + "\n")
    pictures = write_drawn_page(context, films, read, document, folder)
    write_table(folder / EXAMPLES_FILE, probabilities)
    write_table(folder / REPORTS_FILE, reports)
    count = Count("films scored", len(films.prompts), len(films.prompts))
    told = scores.scores
    facts = {
        "tracked": told.tracked(),
        "unavailable": dict(told.unavailable),
        "pictures": pictures,
    }
    return BuiltPiece((count,), facts)


def _scored(
    context: Context, films: Films, read: Read, scratch: Path, on_event: Callable[[Event], None]
) -> tuple[DrawnScores, pa.Table]:
    """All scores, and what the report model wrote."""
    from evaluation.drawn_scores import (
        DrawnScores,
        Judged,
        distance_scores,
        judged_scores,
        likeness_notes,
        notes_of,
        reported_scores,
        unjudged,
    )
    from evaluation.film_targets import FINDINGS
    from evaluation.image_quality import REPORT, image_scores

    scored, settings = _told(context, films), context.settings.score
    apart, unavailable = distance_scores(_feature_sets(read), read.weights, scored)
    alike, why = _similarity(films, scored)
    judged = Judged(
        drawn=judged_films(read, TRAINED, films),
        untrained=judged_films(read, UNTRAINED, films),
        real=judged_films(read, REAL, films),
        weights=read.weights["classifier"],
    )
    asked = context.asked.films.findings or FINDINGS
    found = judged_scores(judged, scored, asked)
    viewed = _viewed(context, films, read, scored)
    written = write_reports(context, films, scratch, on_event)
    reported: list[ImageScore] = []
    apart_by: list[DrawnDifference] = []
    if written is not None:
        reported, apart_by = reported_scores(written[0], settings.uncertain_as, scored)
    else:
        unavailable[f"{REPORT}-micro"] = unavailable[f"{REPORT}-macro"] = NO_REPORTER
    unavailable |= _not_here(read) | why | unjudged(found.findings) | dict(viewed.unavailable)
    result = DrawnScores(
        scored,
        image_scores([*apart, *alike, *found.scores, *viewed.scores, *reported], unavailable),
        (*found.differences, *viewed.differences, *apart_by),
        dict(sorted(Counter(row["source"] for row in films.prompts).items())),
        {each.finding: (each.positive, each.negative) for each in found.findings.findings},
        found.findings.without_support,
        (*notes_of(found), *viewed.notes, *likeness_notes([*apart, *alike])),
    )
    return result, REPORTS_SCHEMA.empty_table() if written is None else written[1]


def _viewed(context: Context, films: Films, read: Read, scored: Scored) -> FoundOfViews:
    """Views as they are read, with a note where prompts name those that the model never saw."""
    from evaluation.drawn_scores import unlearned_notes, viewed_scores

    found = viewed_scores(viewed_films(read, films), scored)
    views = learned_views(context, context.asked.stage)
    notes = unlearned_notes([row["prompt"] for row in films.prompts], views)
    return replace(found, notes=(*found.notes, *notes))


def _told(context: Context, films: Films) -> Scored:
    from evaluation.image_quality import Scored

    settings = context.settings.score
    return Scored(
        prompts=len(films.prompts),
        subjects=len(set(films.units)),
        films=len(films.prompts),
        side_px=films.prompts[0]["width"],
        resamples=settings.bootstrap_resamples,
        seed=settings.seed,
        unit="subject",
    )


def _not_here(read: Read) -> dict[str, str]:
    from evaluation.image_quality import distance_names

    return {
        metric: why
        for extractor, why in read.unavailable.items()
        for metric in distance_names(extractor)
    }


def _feature_sets(read: Read) -> dict[str, Any]:
    from evaluation.frechet_scale import FilmSets

    return {
        reader: FilmSets(
            test=features_of(kinds[REAL]),
            train=features_of(kinds[TRAIN]),
            untrained=features_of(kinds[UNTRAINED]),
            generated=features_of(kinds[TRAINED]),
        )
        for reader, kinds in read.readings.items()
        if reader != "classifier"
    }


def _similarity(films: Films, scored: Scored) -> tuple[list[ImageScore], dict[str, str]]:
    """How alike a prompt's films are, beside real films of one finding; or why there is none."""
    from evaluation.diversity import diversity
    from evaluation.image_quality import SIMILARITY, similarity
    from evaluation.overlay import seen_film

    side = scored.side_px
    groups: dict[str, list[Any]] = {}
    for row in films.drawn[AGAIN]:
        groups.setdefault(row["example_id"], []).append(seen_film(row["pixels"], side))
    for row in films.prompts:
        if row["example_id"] in groups:
            groups[row["example_id"]].append(seen_film(row["pixels"], side))
    real = _by_finding(films, side)
    try:
        drawn = diversity(groups, scored.seed, resamples=scored.resamples)
    except InputError as error:
        return [], {SIMILARITY: str(error)}
    ceiling = None
    if any(len(group) > 1 for group in real.values()):
        ceiling = diversity(real, scored.seed, resamples=scored.resamples)
    return [similarity(drawn, ceiling, scored)], {}


def _by_finding(films: Films, side_px: int) -> dict[str, list[Any]]:
    """Real films of one finding, as of one prompt: those of each that its report asserts."""
    from evaluation.film_targets import FINDINGS, film_targets
    from evaluation.overlay import seen_film

    targets = film_targets([row["reference"] for row in films.prompts])
    return {
        finding: [
            seen_film(films.real[row["example_id"]], side_px)
            for row, told in zip(films.prompts, targets[:, place], strict=True)
            if told == 1.0
        ]
        for place, finding in enumerate(FINDINGS)
    }


def _probabilities(films: Films, read: Read) -> pa.Table:
    rows = [
        {
            "example_id": row["example_id"],
            "study_id": row["study_id"],
            "control": kind,
            "probabilities": read.readings["classifier"][kind][row["example_id"]],
        }
        for kind in (TRAINED, UNTRAINED, REAL)
        for row in films.prompts
    ]
    return pa.Table.from_pylist(rows, schema=PROBABILITIES_SCHEMA)
