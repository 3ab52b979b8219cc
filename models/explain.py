"""``python -m models.explain run.json``: heat maps of sentences over the images they are about.

Each text is given to the model as its answer (teacher-forced), generated or not, with its own image
and with another study's. Leaves ``maps-<control>-<first text>.parquet`` (MAP_SCHEMA, a row group
for each text) and, last, ``result.json``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
import torch

from infra.child import report, run_child, write_json
from infra.errors import InputError
from infra.runs import Control, ExplainRun
from infra.settings.sections import GenerateSettings
from models.attention import Recording, mean_of_rows, recorded
from models.collate import normalise
from models.controls import Place, blank, can_exchange, shown_rows
from models.data import ExampleShards, Pixels, Sample
from models.occlusion import mean_films, occluded, occlusion_maps
from models.writer import FindingsWriter
from sources.heat_map import MAP_SCHEMA, ShownFilm, map_rows

BACKGROUND_IMAGES: Final = 256
"""Images that the mean film is made of, at the most. Our choice: more change it by less than one
grey level."""


PART_TEXTS: Final = 16
"""Texts in one file of maps: what a kill can cost (our choice: minutes at paper scale)."""


@dataclass(frozen=True)
class Asked:
    """One text with the rows of its sentences.

    ``ids`` [T] is prompt and text; ``image`` [N] the image's places; ``rows`` [K] the places whose
    state writes a sentence's token, ``targets`` [K] those tokens; ``sentences`` names each
    sentence's places in ``rows``.
    """

    ids: torch.Tensor
    image: torch.Tensor
    rows: torch.Tensor
    targets: torch.Tensor
    sentences: tuple[tuple[int, ...], ...]


class Explainer:
    """A loaded VLM that tells where a sentence is read from."""

    def __init__(self, run: ExplainRun) -> None:
        self.run = run
        self.writer = FindingsWriter.load(run.model, GenerateSettings(), run.device)
        self.model = self.writer.model.requires_grad_(False)
        films = ExampleShards(run.background, self.writer.canvas) if run.background else ()
        shown = [films[row] for row in range(min(len(films), BACKGROUND_IMAGES))]
        self.films = mean_films([(s.view, s.pixels[0]) for s in shown if s.pixels is not None])

    def ask(self, sample: Sample, spans: Sequence[tuple[int, int]]) -> Asked:
        """Tokens of the text, and which of them make up each sentence."""
        prompt = self.writer.prompt(sample)
        encoded = self.writer.tokenizer(
            sample.target, add_special_tokens=False, return_offsets_mapping=True
        )
        offsets = encoded["offset_mapping"]
        sentences: list[tuple[int, ...]] = []
        rows: list[int] = []
        for start, end in spans:
            tokens = [
                place
                for place, (first, last) in enumerate(offsets)
                if first < end and last > start and last > first
            ]
            if not tokens:
                raise InputError(
                    f"no token in characters {start} to {end} of example {sample.example_id}",
                    "a sentence of its text",
                    "report this as a defect",
                )
            sentences.append(tuple(range(len(rows), len(rows) + len(tokens))))
            rows.extend(tokens)
        last = max(rows, default=-1) + 1  # what stands behind the last sentence changes nothing
        ids = torch.tensor(prompt + encoded["input_ids"][:last])
        written = torch.tensor(rows) + len(prompt)
        image = (ids == self.model.config.image_token_id).nonzero()[:, 0]
        return Asked(ids, image, written - 1, ids[written], tuple(sentences))

    def maps(self, asked: Asked, pixels: Pixels, view: str) -> Iterator[tuple[str, torch.Tensor]]:
        """(method, [S, R, C]) of every method of the run, and last the log-likelihoods [S, 1, 1]
        under the empty name."""
        grid = self.model.config.vision_config.image_size
        grid //= self.model.config.vision_config.patch_size
        likelihood = None
        if self.run.needs_attention:
            found, likelihood = self._attention(asked, pixels)
            for method, values in found:
                if self.run.wants(method):
                    yield method, values.reshape(-1, grid, grid)
        if self.run.wants("occlusion"):
            values, likelihood = self._occlusion(asked, pixels, view)
            yield "occlusion", values
        if likelihood is not None:
            yield "", likelihood.reshape(-1, 1, 1)

    def _attention(
        self, asked: Asked, pixels: Pixels
    ) -> tuple[list[tuple[str, torch.Tensor]], torch.Tensor]:
        device = self.model.device
        rolls, weighs = self.run.wants("attention rollout"), self.run.wants("attention gradient")
        recording = Recording(asked.rows.to(device), asked.image.to(device), with_rollout=rolls)
        with torch.set_grad_enabled(weighs), recorded(self.model, recording):
            likelihoods = self._likelihoods(asked, [pixels])[0]
        found = _plain(mean_of_rows(recording.maps(), asked.sentences))
        if weighs:
            torch.autograd.backward(likelihoods.sum())
            weighted = mean_of_rows(recording.weighted(), asked.sentences)
            found.append(("attention gradient", weighted))
        if rolls:
            rolled = mean_of_rows(recording.rolled(), asked.sentences)
            found.append(("attention rollout", rolled))
        return [(name, values.cpu()) for name, values in found], likelihoods.detach().cpu()

    @torch.inference_mode()
    def _occlusion(
        self, asked: Asked, pixels: Pixels, view: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        films, cells = self.films, self.run.cells
        ordinary = films.get(view, films.get("", blank(pixels.shape[0])))
        images = [pixels, *occluded(pixels, ordinary, cells)]
        size = self.run.batch_size
        batches = [images[start : start + size] for start in range(0, len(images), size)]
        found = torch.cat([self._likelihoods(asked, batch).cpu() for batch in batches])
        return occlusion_maps(found[0] - found[1:], cells), found[0]

    def _likelihoods(self, asked: Asked, images: Sequence[Pixels]) -> torch.Tensor:
        """[B, S]: log-likelihood of each sentence under each image, given what stands before."""
        device = self.model.device
        ids = asked.ids.to(device).expand(len(images), -1)
        logits = self.model(
            input_ids=ids,
            pixel_values=normalise([image[None] for image in images]).to(device, self.model.dtype),
            logits_to_keep=asked.rows.to(device),
            use_cache=False,
        ).logits.float()
        every = torch.arange(len(asked.rows), device=device)
        tokens = logits.log_softmax(-1)[:, every, asked.targets.to(device)]
        return torch.stack([tokens[:, list(rows)].sum(-1) for rows in asked.sentences], dim=1)


def _plain(maps: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    """Means and maxima over layers and heads, each layer, and each head: [S, L, H, N] → [S, N]."""
    found = [("attention mean", maps.mean((1, 2))), ("attention max", maps.amax((1, 2)))]
    for layer in range(maps.shape[1]):
        found.append((f"attention layer {layer}", maps[:, layer].mean(1)))
        found += [
            (f"attention layer {layer} head {head}", maps[:, layer, head])
            for head in range(maps.shape[2])
        ]
    return found


def explain(run: ExplainRun) -> int:
    """Write the maps of every asked sentence; returns the exit code.

    Parts of a killed run are kept and not made again.
    """
    explainer = Explainer(run)
    data = ExampleShards(run.examples, explainer.writer.canvas)
    samples = [data[index] for index in range(len(data))]
    spans = _spans(run.sentences)
    places = [Place.of(sample) for sample in samples]
    report("start", texts=len(samples), controls=list(run.controls))
    run.output.mkdir(parents=True, exist_ok=True)
    written, total = 0, len(samples) * len(run.controls)
    for control in run.controls:
        shown = _shown(control, places, run.seed)
        for start in range(0, len(samples), PART_TEXTS):
            rows = range(start, min(start + PART_TEXTS, len(samples)))
            pairs = [(samples[row], _other(samples, shown[row])) for row in rows]
            _write_part(explainer, run.output / part_name(control, start), pairs, control, spans)
            written += len(rows)
            report("progress", step=written, steps=total)
    result: dict[str, Any] = {"texts": len(samples), "maps_of_texts": written}
    write_json(run.output / "result.json", result)
    report("done", **result)
    return 0


def part_name(control: str, start: int) -> str:
    """The file of the maps of the texts from ``start`` on."""
    return f"maps-{control}-{start:06d}.parquet"


def _other(samples: Sequence[Sample], row: int | None) -> Sample | None:
    return samples[row] if row is not None else None


def _write_part(
    explainer: Explainer,
    path: Path,
    pairs: Sequence[tuple[Sample, Sample | None]],
    control: Control,
    spans: dict[str, list[tuple[int, int]]],
) -> None:
    """One part, whole or not at all."""
    if path.is_file():
        return
    partial = path.with_name(f".{path.name}.partial")
    with pq.ParquetWriter(partial, MAP_SCHEMA, compression="zstd") as sink:
        for sample, shown in pairs:
            sink.write_table(_table(explainer, sample, shown, control, spans))
    partial.replace(path)


def _shown(control: Control, places: Sequence[Place], seed: int) -> list[int | None]:
    """As predictions are; where subjects cannot be exchanged all are shown a blank film."""
    if control == "shuffled" and not can_exchange(places):
        return [None] * len(places)
    return shown_rows(control, places, seed)


def _table(
    explainer: Explainer,
    sample: Sample,
    shown: Sample | None,
    control: Control,
    spans: dict[str, list[tuple[int, int]]],
) -> Any:
    asked = explainer.ask(sample, spans[sample.example_id])
    pictures = shown.pixels if shown is not None else blank(explainer.writer.canvas.side_px)[None]
    assert pictures is not None, "examples were read as text only"
    assert len(pictures) == 1, "a map lies over one picture"
    pixels = pictures[0]
    maps = [
        (method, np.asarray(values, np.float32))
        for method, values in explainer.maps(asked, pixels, sample.view)
    ]
    film = None
    if shown is not None:
        film = ShownFilm(shown.source, shown.study_id, shown.example_id)
    return map_rows(sample.example_id, control, film, maps)


def _spans(path: Path) -> dict[str, list[tuple[int, int]]]:
    """(start, end) of every example's sentences, in order."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for row in pq.read_table(path).to_pylist():
        spans.setdefault(row["example_id"], []).append((row["start"], row["end"]))
    return spans


if __name__ == "__main__":
    sys.exit(run_child(ExplainRun, explain))
