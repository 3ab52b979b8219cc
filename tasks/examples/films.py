"""Which stored images become the films of one example: each alone, or those chosen of a study.

A row per future example without its text: ``view`` (of the first film; NULL without any image),
``films`` and ``left_out`` (lists of structs, by place in the study) and ``image_twin`` (why a film
is too much like a held-out one).
"""

from __future__ import annotations

from typing import Any, Final

from infra.settings.sections import ExampleSettings
from sources.perceptual_hash import COPY_DISTANCE

_EACH: Final = """
    SELECT source, study_id, image_id, view, image_twin,
           [struct_pack(image_id := image_id, file := file, row := file_row)] AS films,
           []::STRUCT(image_id VARCHAR, reason VARCHAR)[] AS left_out
    FROM image LEFT JOIN image_twins USING (source, study_id, image_id)
"""

_STUDY: Final = """
    WITH placed AS (
        SELECT image.source, image.study_id, image_id, view, image_twin, image.file,
               image.file_row, perceptual_hash,
               list_position(list_transform(study.images, lambda x: x.image_id), image_id) AS place,
               list_contains($views, view) AS wanted,
               lying.image_id IS NOT NULL AS lies
        FROM image JOIN study USING (source, study_id)
        LEFT JOIN image_twins USING (source, study_id, image_id)
        LEFT JOIN lying USING (source, study_id, image_id)
    ),
    judged AS (
        SELECT *, CASE WHEN NOT wanted THEN 'view-not-wanted'
                       WHEN $without_copies AND EXISTS (
                           FROM placed AS earlier
                           WHERE earlier.source = placed.source
                             AND earlier.study_id = placed.study_id
                             AND earlier.wanted AND earlier.place < placed.place
                             AND bit_count(xor(earlier.perceptual_hash::BIT,
                                               placed.perceptual_hash::BIT)) <= $copy_distance
                       ) THEN 'copy-of-another'
                       WHEN lies AND EXISTS (
                           FROM placed AS other
                           WHERE other.source = placed.source
                             AND other.study_id = placed.study_id
                             AND other.wanted AND NOT other.lies
                       ) THEN 'lies-on-its-side' END AS why
        FROM placed
    ),
    numbered AS (
        SELECT *, row_number() OVER (
            PARTITION BY source, study_id, view, why IS NULL ORDER BY place
        ) AS of_its_view
        FROM judged
    ),
    ranked AS (
        SELECT *, why IS NULL AND $most >= row_number() OVER (
            PARTITION BY source, study_id, why IS NULL
            ORDER BY CASE WHEN $views_first THEN of_its_view ELSE 0 END, place
        ) AS chosen
        FROM numbered
    )
    SELECT source, study_id, NULL::VARCHAR AS image_id,
           coalesce(first(view ORDER BY place) FILTER (chosen), first(view ORDER BY place)) AS view,
           first(image_twin ORDER BY place)
               FILTER (chosen AND image_twin IS NOT NULL) AS image_twin,
           list(struct_pack(image_id := image_id, file := file, row := file_row) ORDER BY place)
               FILTER (chosen) AS films,
           coalesce(list(struct_pack(image_id := image_id,
                                     reason := coalesce(why, 'more-than-the-most'))
                         ORDER BY place) FILTER (NOT chosen), []) AS left_out
    FROM ranked GROUP BY source, study_id
"""
"""Films keep their order in the study, however they are chosen."""


def films_query(settings: ExampleSettings) -> str:
    """SQL over the views ``image``, ``study``, ``image_twins`` and ``lying``."""
    return _EACH if settings.images == "each" else _STUDY


def film_parameters(settings: ExampleSettings) -> dict[str, Any]:
    """The values of the query's ``$`` parameters, besides the views."""
    if settings.images == "each":
        return {}
    return {
        "most": settings.most_images,
        "views_first": settings.choose == "one-per-view",
        "without_copies": settings.choose in ("distinct", "upright"),
        "copy_distance": COPY_DISTANCE,
    }
