"""The texts whose sentences are held against boxes, and what becomes of every sentence.

    reference   what the radiologist wrote       of test sources whose boxes are known
    prediction  what the model wrote
    phrase      "There is pleural effusion."     for each name of a publisher's boxes

A text is kept where a sentence of it has a box that the model can see. Sentences in are sentences
grounded plus those that are not, by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from evaluation.grounding_choice import Grounded
from evaluation.grounding_match import (
    Match,
    TruePlace,
    asserted,
    match_places,
    match_sentence,
    sentence_spans,
)
from infra.pieces import Count
from sources.crop import Crop
from sources.example import EXAMPLE_SCHEMA, Task, request_turn
from sources.record import Origin, Split
from tasks.context import Context
from tasks.ground.truth import (
    BoxedImage,
    boxed_images,
    has_known_boxes,
    known_places,
    scored_split,
)
from tasks.predict.work import PREDICTIONS_FILE
from tasks.train.work import example_files

BEYOND_LIMIT: Final = "beyond-limit"
IMAGE_MISSING: Final = "image-missing"
VIEW_NOT_USED: Final = "view-not-used"


@dataclass
class Texts:
    """Texts to explain, as rows of EXAMPLE_SCHEMA, with their grounded sentences.

    ``spans`` has (example, sentence, start, end); ``outcomes`` counts sentences by kind and source.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    spans: list[dict[str, Any]] = field(default_factory=list)
    sentences: list[Grounded] = field(default_factory=list)
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, text: str, source: str, outcome: str, number: int = 1) -> None:
        self.outcomes.setdefault(f"{text} of {source}", Counter())[outcome] += number

    def counts(self) -> tuple[Count, ...]:
        """Sentences in, grounded, and not grounded by reason."""
        return tuple(
            Count(
                f"sentences, {name}",
                sum(found.values()),
                found["grounded"],
                {why: number for why, number in sorted(found.items()) if why != "grounded"},
            )
            for name, found in self.outcomes.items()
        )

    def add(
        self, row: Mapping[str, Any], text: str, matches: Sequence[tuple[tuple[int, int], Match]]
    ) -> None:
        """A text with its sentences' matches; it is asked about if one of them is grounded."""
        asked = 0
        for (start, end), match in matches:
            self.count(text, row["source"], match.outcome)
            if match.outcome != "grounded":
                continue
            name = row["example_id"]
            span = {"example_id": name, "sentence": asked, "start": start, "end": end}
            self.spans.append(span)
            self.sentences.append(_grounded(row, text, asked, row["target"][start:end], match))
            asked += 1
        if asked:
            self.rows.append(dict(row))

    def shard(self) -> pa.Table:
        return pa.Table.from_pylist(self.rows, schema=EXAMPLE_SCHEMA)


def _grounded(row: Mapping[str, Any], text: str, number: int, words: str, match: Match) -> Grounded:
    return Grounded(
        example_id=row["example_id"],
        sentence=number,
        text=text,
        source=row["source"],
        study_id=row["study_id"],
        subject_id=row["subject_id"],
        words=words,
        names=match.names,
        boxes=match.boxes,
        is_focal_sided=match.is_focal_sided,
    )


def validate_texts(context: Context, side_px: int) -> Texts:
    """References of validate examples with known boxes, and phrases of sources that hold out test
    images too: what is chosen on is never scored."""
    texts = Texts()
    limit = context.settings.ground.validate_texts
    _add_reports(context, texts, Split.VALIDATE, side_px, limit)
    for source, images in _boxed_sources(context):
        if scored_split({image.split for image in images}) is Split.TEST:
            _add_phrases(context, texts, source, images, Split.VALIDATE, limit, side_px)
    return texts


def test_texts(context: Context, side_px: int) -> Texts:
    """References, predictions and phrases of what is held out."""
    texts = Texts()
    limit = context.settings.ground.test_texts
    _add_reports(context, texts, Split.TEST, side_px, limit)
    for source, images in _boxed_sources(context):
        split = scored_split({image.split for image in images})
        if split is not None:
            _add_phrases(context, texts, source, images, split, limit, side_px)
    return texts


def _add_reports(
    context: Context, texts: Texts, split: Split, side_px: int, limit: int | None
) -> None:
    kinds = context.settings.ground.texts
    known = [name for name in context.source_names if has_known_boxes(context, name)]
    for source in known:
        rows = _one_text_each(context, source, split)
        if "reference" in kinds:
            _add_texts(context, texts, "reference", rows, side_px, limit)
        if "prediction" in kinds and split is Split.TEST:
            written = _predictions(context)
            predicted = [
                {**row, "target": written[row["example_id"]]}
                for row in rows
                if row["example_id"] in written
            ]
            renamed = [{**row, "example_id": f"{row['example_id']}/own"} for row in predicted]
            _add_texts(context, texts, "prediction", renamed, side_px, limit)


def _add_texts(
    context: Context,
    texts: Texts,
    text: str,
    rows: Sequence[Mapping[str, Any]],
    side_px: int,
    limit: int | None,
) -> None:
    """Matches the sentences of texts that assert something; beyond the limit they are counted."""
    telling = [row for row in rows if asserted(row["target"])]
    silent = [row for row in rows if not asserted(row["target"])]
    kept, left = telling[:limit], telling[len(telling[:limit]) :]
    for row in silent:
        texts.count(text, row["source"], "asserts-nothing", len(sentence_spans(row["target"])))
    for row in left:
        texts.count(text, row["source"], BEYOND_LIMIT, len(sentence_spans(row["target"])))
    if not kept:
        return
    images = {row["images"][0]["image_id"]: row["images"][0] for row in kept}
    places = known_places(context, kept[0]["source"], images, side_px)
    for row in kept:
        found = places[row["images"][0]["image_id"]]
        spans = sentence_spans(row["target"])
        matches = [(span, match_sentence(row["target"][slice(*span)], found)) for span in spans]
        texts.add(row, text, matches)


def _one_text_each(context: Context, source: str, split: Split) -> list[dict[str, Any]]:
    """One example of each image of the source, in a seeded order of studies: of several text
    versions the first by name (``keep`` before ``structure``)."""
    files = example_files(context, split)
    rows = [row for path in files for row in pq.read_table(path).to_pylist()]
    rows = [row for row in rows if row["source"] == source and row["task"] == Task.FINDINGS]
    first: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["text_version"]):
        first.setdefault(row["images"][0]["image_id"], row)
    seed = context.settings.ground.seed
    return sorted(first.values(), key=lambda row: _rank(seed, row["study_id"], row["example_id"]))


def _rank(seed: int, study_id: str, name: str) -> tuple[bytes, str]:
    return blake2b(f"{seed}\t{study_id}".encode(), digest_size=8).digest(), name


def _predictions(context: Context) -> dict[str, str]:
    """What the model wrote with its own image, by example id."""
    predicted = context.artifact(f"predictions/{context.ability}")
    columns = ["example_id", "control", "prediction"]
    return {
        row["example_id"]: row["prediction"]
        for path in predicted.files(PREDICTIONS_FILE)
        for row in pq.read_table(path, columns=columns).to_pylist()
        if row["control"] == "none"
    }


def _boxed_sources(context: Context) -> list[tuple[str, list[BoxedImage]]]:
    if "phrase" not in context.settings.ground.texts:
        return []
    return [(name, boxed_images(context, name)) for name in context.source_names]


def phrase_of(name: str) -> str:
    """The sentence that asserts a box's name, as a report would: ``There is nodule or mass.``"""
    return f"There is {name.lower().replace('_', ' ').replace('/', ' or ')}."


def _add_phrases(
    context: Context,
    texts: Texts,
    source: str,
    images: Sequence[BoxedImage],
    split: Split,
    limit: int | None,
    side_px: int,
) -> None:
    seed, added = context.settings.ground.seed, 0
    chosen = [image for image in images if image.split == split]
    for image in sorted(chosen, key=lambda one: _rank(seed, one.study_id, one.image_id)):
        for name in sorted(image.boxes):
            if image.pixels is None:
                texts.count("phrase", source, IMAGE_MISSING)
            elif image.view not in context.examples.views:
                texts.count("phrase", source, VIEW_NOT_USED)
            elif limit is not None and added >= limit:
                texts.count("phrase", source, BEYOND_LIMIT)
            else:
                row = _phrase_row(image, name)
                texts.add(row, "phrase", [((0, len(row["target"])), _match(image, name, side_px))])
                added += 1


def _match(image: BoxedImage, name: str, side_px: int) -> Match:
    crop = Crop.of(image.published, image.stored, side_px)
    meant = [TruePlace(name, name, None, crop.place(box)) for box in image.boxes[name]]
    return match_places(meant, (name,))


def _phrase_row(image: BoxedImage, name: str) -> dict[str, Any]:
    """One row of EXAMPLE_SCHEMA that asserts a box's name of its image."""
    turn = request_turn(Task.FINDINGS, None)
    return {
        "example_id": f"{image.source}/{image.study_id}/{image.image_id}/phrase/{name}",
        "task": Task.FINDINGS,
        "source": image.source,
        "study_id": image.study_id,
        "subject_id": image.subject_id,
        "split": image.split,
        "text_version": "phrase",
        "origin": Origin.SYNTHESIZED,
        "images": [
            {
                "image_id": image.image_id,
                "view": image.view,
                "pixels": image.pixels,
                "width": image.stored[0],
                "height": image.stored[1],
            }
        ],
        "indication": None,
        "turns": [{"role": turn.role, "text": turn.text}],
        "target": phrase_of(name),
    }
