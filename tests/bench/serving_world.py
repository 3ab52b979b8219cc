"""What the serving bench serves: a model of random weights with a registered model's files.

The tokenizer is trained on the words of replica reports, as a recipe's is. Random weights never end
an answer by themselves, so that ``max_tokens`` decides each answer's length.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import torch
from transformers import LlamaConfig, LlavaForConditionalGeneration

from infra.runs import RegisterRun
from infra.settings.sections import GenerateSettings, ImageSettings
from infra.settings.stages import LanguageSettings, ModelSettings, VisionSettings
from models.canvas import write_canvas
from models.register import register
from models.tokenizers import save_tokenizer, train_language_tokenizer
from models.towers import initial_spread
from models.vlm import vlm_config
from sources.record import View
from sources.replicas.phantom import draw
from sources.replicas.truth import ReplicaSpec, draw_cohort

SIDE_PX, PATCH_PX = 224, 14
VOCABULARY = 2000
LANGUAGE = LanguageSettings(
    width=256, feed_forward=688, layers=6, heads=4, vocabulary=VOCABULARY,
    context_tokens=512, positions=768,
)  # fmt: skip
MODELS = ModelSettings(
    embedding=64,
    vision=VisionSettings(image_px=SIDE_PX, patch_px=PATCH_PX, width=128, layers=3, heads=4),
    language=LANGUAGE,
)
MOST_TOKENS = 256


def write_model(root: Path, seed: int = 0) -> Path:
    """The folder of a stage; returns it."""
    model = root / "model"
    tokenizer = train_language_tokenizer(_words(), LANGUAGE)
    torch.manual_seed(seed)
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=LANGUAGE.width,
        intermediate_size=LANGUAGE.feed_forward,
        num_hidden_layers=LANGUAGE.layers,
        num_attention_heads=LANGUAGE.heads,
        num_key_value_heads=LANGUAGE.heads,
        max_position_embeddings=LANGUAGE.positions,
        initializer_range=initial_spread(LANGUAGE.width),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    image = int(tokenizer.convert_tokens_to_ids("<image>"))
    config = vlm_config(MODELS, text, image)
    write_canvas(config, MODELS.vision)
    made = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        made.lm_head.weight.mul_(12)  # so that no two tokens are nearly equal
    made.save_pretrained(model)
    save_tokenizer(tokenizer, model)
    return model


def register_version(uri: str, model: Path, number: str) -> None:
    """Put it into the registry as a version more, the champion."""
    run = RegisterRun(
        model=model,
        model_name="bench",
        alias="champion",
        tracking_uri=uri,
        experiment="bench",
        tags={"cxrflow.number": number},
        images=ImageSettings(short_side_px=SIDE_PX),
        generate=GenerateSettings(max_new_tokens=MOST_TOKENS),
        output=model.parent / f"receipt-{number}",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mlflow's own
        assert register(run) == 0


def _words() -> list[str]:
    """Texts with enough different words for the vocabulary."""
    rng = np.random.default_rng(5)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    words = ["".join(rng.choice(letters, int(rng.integers(3, 9)))) for _ in range(4000)]
    return [" ".join(words[start : start + 20]) for start in range(0, len(words), 20)] * 3


def drawn_films(count: int) -> list[bytes]:
    """Drawn phantoms of 512 px as PNG, some 150 KB each."""
    films = []
    for truth in draw_cohort(ReplicaSpec(studies=count, seed=13), "serving"):
        pixels = np.asarray(draw(truth, View.PA, 512).pixels) * 255
        films.append(cv2.imencode(".png", pixels.clip(0, 255).astype(np.uint8))[1].tobytes())
    return films
