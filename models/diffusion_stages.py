"""What the stages of CXR-SD train (see ``models.stages``).

autoencode   films ─▶ latents ─▶ films
diffuse      noisy latents ─▶ noise, the base
guide        the same with a report to follow: a guide beside the frozen base, or its decoder
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from infra.errors import InputError
from infra.runs import TrainRun
from infra.settings.diffusion import DiffusionSettings
from models.canvas import Canvas
from models.data import ExampleShards, Sample
from models.diffusion_collate import FilmCollator, PromptCollator, UnaskedCollator
from models.diffusion_networks import (
    AutoencoderTraining,
    LatentDiffusion,
    new_autoencoder,
    new_schedule,
    new_unet,
)
from models.diffusion_pace import DiffusionMeter
from models.diffusion_trainer import DiffusionTrainer
from models.guided_unet import GuidedUnet
from models.latents import Latents, as_channels
from models.packing import Batch
from models.patch_components import begin_as_components
from models.pipeline_folder import (
    load_autoencoder,
    load_schedule,
    load_text,
    load_unet,
    part_folder,
    save_guide,
    save_text,
    write_index,
)
from models.portable import forget_places
from models.prepared import Prepared
from models.prompt_states import PromptReader
from models.ranks import rank_and_ranks
from models.tokenizers import Tokenizer
from models.validate import chosen_rows
from sources.learned_views import VIEWS, ViewCounts, count_views
from sources.selection import selection_of

_DECODER = ("up_blocks", "conv_norm_out", "conv_out")
"""What the released code calls the UNet's output blocks and its last layers."""


def canvas_of(diffusion: DiffusionSettings) -> Canvas:
    """How films are shown to CXR-SD: the first one, in its own size."""
    return Canvas(diffusion.image_px, diffusion.fit)


def prepare_autoencode(run: TrainRun) -> Prepared:
    """An untrained autoencoder, or one that is its patches' components already; its latents' mean
    and spread are measured when it is saved."""
    diffusion = run.models.drawing
    assert diffusion.autoencoder is not None, "settings refuse the stage where weights bring it"
    autoencoder = new_autoencoder(diffusion.autoencoder, diffusion.image_px)
    if diffusion.autoencoder.begins == "components":
        films = torch.cat(list(_chosen_films(run)))
        read = as_channels(films, diffusion.autoencoder.patch_px**2)
        begin_as_components(autoencoder, read.movedim(1, -1).flatten(0, 2))
    model = AutoencoderTraining(autoencoder, diffusion.autoencoder, run.stage.seed)
    views = _views_shown(run)

    def save(folder: Path) -> None:
        mean, spread = _statistics(autoencoder, run)
        autoencoder.register_to_config(latents_mean=mean, latents_std=spread)
        autoencoder.save_pretrained(folder / "vae")
        write_index(folder, {"image_px": diffusion.image_px, VIEWS: views})
        forget_places(folder)

    return _prepared(run, model, FilmCollator(), save)


def _prepared(
    run: TrainRun,
    model: torch.nn.Module,
    collate: Callable[[list[Sample]], Batch],
    save: Callable[[Path], None],
) -> Prepared:
    return Prepared(
        model,
        collate,
        save,
        canvas=canvas_of(run.models.drawing),
        trainer=partial(DiffusionTrainer, ema=run.stage.ema),
        meter=DiffusionMeter,
    )


@torch.no_grad()
def _statistics(autoencoder: Any, run: TrainRun) -> tuple[list[float], list[float]]:
    """Mean and spread of each channel of the latents over training films (some hundreds)."""
    autoencoder.eval()
    device = next(autoencoder.parameters()).device
    found = []
    for films in _chosen_films(run):
        read = as_channels(films.to(device), autoencoder.config.in_channels)
        found.append(autoencoder.encode(read).latent_dist.mode().float().cpu())
    latents = torch.cat(found)
    axes = (0, 2, 3)
    spread = latents.std(dim=axes).clamp_min(1e-6)  # a channel that is not used has none
    return latents.mean(dim=axes).tolist(), spread.tolist()


def _chosen_films(run: TrainRun) -> Iterator[torch.Tensor]:
    """Some hundreds of the stage's training films, the same each time: uint8 [B, P, P]."""
    stage = run.stage
    canvas = canvas_of(run.models.drawing)
    examples = ExampleShards(run.train_examples, canvas, selection_of(stage))
    collate, rows = FilmCollator(), chosen_rows(len(examples))
    for start in range(0, len(rows), stage.batch_size):
        yield collate([examples[row] for row in rows[start : start + stage.batch_size]])["films"]


def prepare_diffuse(run: TrainRun) -> Prepared:
    """The base: an untrained UNet, or the published one to go on from."""
    diffusion = run.models.drawing
    latents = Latents(load_autoencoder(part_folder(run, "vae")))
    text_encoder, tokenizer = load_text(run)
    if diffusion.weights:
        unet = load_unet(part_folder(run, "unet"))
        schedule = load_schedule(part_folder(run, "scheduler"))
    else:
        assert diffusion.unet is not None and diffusion.autoencoder is not None
        places = diffusion.image_px // diffusion.autoencoder.shrinks
        channels = diffusion.autoencoder.latent_channels
        unet = new_unet(diffusion.unet, channels, places, text_encoder.config.hidden_size)
        schedule = new_schedule(diffusion.noise)
    asked = diffusion.base_prompts == "reports"
    reader = PromptReader(tokenizer, diffusion.context_tokens)
    model = LatentDiffusion(
        latents,
        text_encoder,
        unet,
        schedule,
        reader.read([""]),
        reads_prompts=asked,
        seed=run.stage.seed,
    )
    collate = PromptCollator(reader) if asked else UnaskedCollator(reader)
    save = partial(_save, model, tokenizer, diffusion, "none", _views_shown(run))
    return _prepared(run, model, collate, save)


def prepare_guide(run: TrainRun) -> Prepared:
    """The guide around an earlier stage's base, or around the published one."""
    diffusion = run.models.drawing
    if diffusion.hint_steps and rank_and_ranks()[1] > 1:
        raise InputError(
            f"hint_steps {diffusion.hint_steps} on {rank_and_ranks()[1]} ranks",
            "one, since ranks wait for the gradients that such steps do not make",
            "set models.diffusion.hint_steps to 0, or train on one device",
        )
    text_encoder, tokenizer = load_text(run)
    unet = load_unet(part_folder(run, "unet"))
    guided = None
    if diffusion.guide == "zero-convolutions":
        guided = GuidedUnet(unet, diffusion.hint_reach, guesses=diffusion.hint_weight > 0)
    else:
        train_decoder(unet)
    reader = PromptReader(tokenizer, diffusion.context_tokens)
    model = LatentDiffusion(
        Latents(load_autoencoder(part_folder(run, "vae"))),
        text_encoder,
        unet,
        load_schedule(part_folder(run, "scheduler")),
        reader.read([""]),
        guided=guided,
        hint_weight=diffusion.hint_weight if guided is not None else 0.0,
        hint_steps=diffusion.hint_steps,
        seed=run.stage.seed,
    )
    save = partial(_save, model, tokenizer, diffusion, diffusion.guide, _views_shown(run))
    return _prepared(run, model, PromptCollator(reader), save)


def _views_shown(run: TrainRun) -> ViewCounts:
    """Of the stage's own examples: what its base was shown is no view that its prompts ask for."""
    return count_views(run.train_examples, selection_of(run.stage))


def train_decoder(unet: torch.nn.Module) -> None:
    """Train what comes after the UNet's middle, and nothing else."""
    unet.requires_grad_(False)
    for name in _DECODER:
        unet.get_submodule(name).requires_grad_(True)


def _save(
    model: LatentDiffusion,
    tokenizer: Tokenizer,
    diffusion: DiffusionSettings,
    guide: str,
    views: ViewCounts,
    folder: Path,
) -> None:
    """The whole pipeline: what was trained, and what it was trained around."""
    model.autoencoder.save_pretrained(folder / "vae")
    model.base.save_pretrained(folder / "unet")
    model.schedule.save_pretrained(folder / "scheduler")
    save_text(model.text_encoder, tokenizer, folder)
    if model.guided is not None:
        save_guide(model.guided, folder)
    facts: dict[str, object] = {
        "image_px": diffusion.image_px,
        "context_tokens": diffusion.context_tokens,
        "guide": guide,
        "hint_reach": diffusion.hint_reach,
        "hint_guesses": diffusion.hint_weight > 0,
        "base_prompts": diffusion.base_prompts,
        VIEWS: dict(views),
    }
    write_index(folder, facts, model.text_encoder)
    forget_places(folder)
