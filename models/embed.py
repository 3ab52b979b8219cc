"""``python -m models.embed run.json``: films and texts as vectors, for retrieval and zero-shot.

Leaves ``embeddings.safetensors`` (float32: ``dual.images`` [N, E], ``dual.texts`` [M, E],
``dual.prompts`` [P, E] of unit length; ``vlm.images`` [N, L], ``vlm.texts`` [M, L] as they are),
``films.parquet`` (one row for each of the N examples, with the place of its text) and
``texts.parquet`` (the M texts, one for each study and text version).

The VLM was never trained to embed. Its film is the mean of the last hidden states at the image's
places after the image alone, its text the mean of those of the text alone (our choice: the paper
reports retrieval but not how).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, LlavaForConditionalGeneration

from infra.child import report, run_child, write_json
from infra.runs import EmbedRun
from models.canvas import Canvas, canvas_of
from models.collate import normalise, pad_left, prompt_ids
from models.data import ExampleShards, Pixels, Sample
from models.dual_encoder import CxrDualEncoder
from models.tokenizers import Tokenizer, load_tokenizer
from models.vlm import load_vlm
from models.whole import load_whole
from sources.embedded import FILM_SCHEMA, TEXT_SCHEMA

EMBEDDINGS = "embeddings.safetensors"
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class _Texts:
    """M distinct texts in the order of their first film, and each film's place among them."""

    samples: tuple[Sample, ...]
    text_of: tuple[int, ...]
    texts: tuple[Sample, ...]


def embed(run: EmbedRun) -> int:
    """Write the embeddings; returns the exit code."""
    started = time.monotonic()
    samples = tuple(ExampleShards(run.examples, _canvas(run)))
    told = _distinct(samples)
    report("start", films=len(samples), texts=len(told.texts))
    tensors: Tensors = {}
    if run.dual_encoder is not None:
        tensors |= _with_dual_encoder(run, told)
    if run.vlm is not None:
        tensors |= _with_vlm(run, told)
    run.output.mkdir(parents=True, exist_ok=True)
    save_file(tensors, run.output / EMBEDDINGS)
    _write_rows(run.output, told)
    result: dict[str, object] = {
        "films": len(samples),
        "texts": len(told.texts),
        "widths": {name: int(each.shape[1]) for name, each in tensors.items()},
    }
    write_json(run.output / "result.json", result)
    report("done", seconds=round(time.monotonic() - started, 1), **result)
    return 0


def _canvas(run: EmbedRun) -> Canvas:
    """How the models are shown films, which must be the same where both are asked."""
    canvases = set()
    if run.dual_encoder is not None:
        config = CxrDualEncoder.config_class.from_pretrained(run.dual_encoder)
        canvases.add(canvas_of(config))
    if run.vlm is not None:
        canvases.add(canvas_of(AutoConfig.from_pretrained(run.vlm)))
    assert len(canvases) == 1, f"{canvases}: a VLM's tower is its dual encoder's"
    return canvases.pop()


def _distinct(samples: tuple[Sample, ...]) -> _Texts:
    places: dict[tuple[str, str, str], int] = {}
    texts: list[Sample] = []
    text_of = []
    for sample in samples:
        key = (sample.source, sample.study_id, sample.target)
        if key not in places:
            places[key] = len(texts)
            texts.append(sample)
        text_of.append(places[key])
    return _Texts(samples, tuple(text_of), tuple(texts))


def _device(run: EmbedRun) -> torch.device:
    on_gpu = run.device == "auto" and torch.cuda.is_available()
    return torch.device("cuda" if on_gpu else "cpu")


def _batches(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _embedded(
    rows: Sequence[Any], size: int, step: Callable[[Sequence[Any]], torch.Tensor]
) -> torch.Tensor:
    """[rows, width] float32 on the CPU, a batch at a time."""
    return torch.cat([step(batch).float().cpu() for batch in _batches(rows, size)])


def _each_once(
    texts: Sequence[str], size: int, step: Callable[[Sequence[str]], torch.Tensor]
) -> torch.Tensor:
    """[texts, width]: equal texts have one vector to the bit, so that they tie; embedded in
    batches of their own padding they would differ by rounding."""
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return _embedded(list(places), size, step)[[places[text] for text in texts]]


@torch.inference_mode()
def _with_dual_encoder(run: EmbedRun, told: _Texts) -> Tensors:
    assert run.dual_encoder is not None
    device = _device(run)
    loaded: CxrDualEncoder = load_whole(CxrDualEncoder, run.dual_encoder)
    model = loaded.eval().to(device)
    tokenizer = load_tokenizer(run.dual_encoder)

    def films(batch: Sequence[Sample]) -> torch.Tensor:
        first = [pixels[:1] for pixels in _pixels(batch)]
        pixels = normalise(first).to(device, model.dtype)
        embedded: torch.Tensor = model.embed_images(pixels)
        return embedded

    def texts(batch: Sequence[str]) -> torch.Tensor:
        encoded = tokenizer(
            list(batch),
            padding=True,
            truncation=True,
            max_length=run.text_tokens,
            return_tensors="pt",
            return_token_type_ids=False,
        ).to(device)
        embedded: torch.Tensor = model.embed_texts(encoded["input_ids"], encoded["attention_mask"])
        return embedded

    report("progress", step=0, steps=3)
    found = {
        "dual.images": _embedded(told.samples, run.batch_size, films),
        "dual.texts": _each_once([each.target for each in told.texts], run.batch_size, texts),
    }
    if run.prompts:
        found["dual.prompts"] = _embedded(run.prompts, run.batch_size, texts)
    report("progress", step=1, steps=3)
    return found


@torch.inference_mode()
def _with_vlm(run: EmbedRun, told: _Texts) -> Tensors:
    assert run.vlm is not None
    device = _device(run)
    model = load_vlm(run.vlm).eval().to(device)
    tokenizer = load_tokenizer(run.vlm)
    films = _embedded(
        told.samples, run.batch_size, lambda batch: _film_states(model, tokenizer, batch)
    )
    report("progress", step=2, steps=3)
    targets = [each.target for each in told.texts]
    texts = _each_once(targets, run.batch_size, lambda batch: _text_states(model, tokenizer, batch))
    report("progress", step=3, steps=3)
    return {"vlm.images": films, "vlm.texts": texts}


def _film_states(
    model: LlavaForConditionalGeneration, tokenizer: Tokenizer, batch: Sequence[Sample]
) -> torch.Tensor:
    """[B, L] means over the places of each example's pictures."""
    tokens = int(model.config.image_seq_length)
    rows = [prompt_ids(sample, tokenizer, "image-only", tokens) for sample in batch]
    ids, mask = (each.to(model.device) for each in pad_left(rows, tokenizer.pad_token_id))
    pixels = normalise(_pixels(batch)).to(model.device, model.dtype)
    outputs = model.model(input_ids=ids, attention_mask=mask, pixel_values=pixels)
    states = outputs.last_hidden_state
    return _mean(states, ids == model.config.image_token_id)


def _text_states(
    model: LlavaForConditionalGeneration, tokenizer: Tokenizer, batch: Sequence[str]
) -> torch.Tensor:
    """[B, L] means over the text's tokens."""
    rows = [tokenizer(text)["input_ids"] for text in batch]
    ids, mask = (each.to(model.device) for each in pad_left(rows, tokenizer.pad_token_id))
    outputs = model.model.language_model(input_ids=ids, attention_mask=mask)
    return _mean(outputs.last_hidden_state, mask.bool())


def _mean(states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """[B, T, L] over the marked places [B, T] → [B, L]."""
    weights = places.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1)


def _pixels(batch: Sequence[Sample]) -> list[Pixels]:
    found = [each.pixels for each in batch if each.pixels is not None]
    assert len(found) == len(batch), "examples were read as text only"
    return found


def _write_rows(folder: Path, told: _Texts) -> None:
    films = [
        {**_names(sample), "view": sample.view, "text": place}
        for sample, place in zip(told.samples, told.text_of, strict=True)
    ]
    texts = [{**_names(sample), "target": sample.target} for sample in told.texts]
    for name, rows, schema in (
        ("films.parquet", films, FILM_SCHEMA),
        ("texts.parquet", texts, TEXT_SCHEMA),
    ):
        table = pa.Table.from_pylist(rows, schema=schema)
        pq.write_table(table, folder / name, compression="zstd")


def _names(sample: Sample) -> dict[str, str | None]:
    return {
        "example_id": sample.example_id,
        "source": sample.source,
        "study_id": sample.study_id,
        "subject_id": sample.subject_id,
    }


if __name__ == "__main__":
    sys.exit(run_child(EmbedRun, embed))
