"""The vision-language model: vision tower → projector → language model, as Hugging Face's LLaVA.

Features are ``hidden_states[-2]`` without CLS: at paper scale 1,369 tokens of width 768, projected
by 19,931,136 parameters to width 4096. LoRA r 64 on the seven linear layers of 32 blocks adds
159,907,840 parameters in 448 tensors.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    MistralConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
)

from infra.errors import InputError
from infra.settings.stages import LanguageSettings, LoraSettings, ModelSettings
from models.projector import VLM_OF_PROJECTOR, draw_projector, vlm_class
from models.tokenizers import IMAGE_TOKEN, Tokenizer
from models.towers import feature_strategy, initial_spread, tower_config
from models.weights import cast_parameters, model_type
from models.whole import UNREADABLE, load_whole, unreadable

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel

_CONFIGS: dict[str, type[PretrainedConfig]] = {
    "llama": LlamaConfig,
    "qwen2": Qwen2Config,
    "mistral": MistralConfig,
}


def language_config(language: LanguageSettings, tokenizer: Tokenizer) -> PretrainedConfig:
    """The language model's configuration for that tokenizer.

    What the settings do not tell is the architecture's own; for Mistral without its sliding window,
    which is wider than any report.
    """
    own: dict[str, dict[str, Any]] = {
        "llama": {"rms_norm_eps": 1e-5},  # Llama 2
        "qwen2": {},
        "mistral": {"sliding_window": None},
    }
    return _CONFIGS[language.architecture](
        vocab_size=len(tokenizer),
        hidden_size=language.width,
        intermediate_size=language.feed_forward,
        num_hidden_layers=language.layers,
        num_attention_heads=language.heads,
        num_key_value_heads=language.key_value_heads or language.heads,
        max_position_embeddings=language.positions,
        initializer_range=initial_spread(language.width),
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **own[language.architecture],
    )


def vlm_config(
    models: ModelSettings,
    text_config: PretrainedConfig,
    image_token_id: int,
    vision_config: PretrainedConfig | None = None,
) -> LlavaConfig:
    """The whole VLM's configuration; the vision tower's from the settings unless one is given.

    The parts' configurations become its own, not copies of them.
    """
    queries = {
        "resampler_queries": models.resampler.queries,
        "resampler_layers": models.resampler.layers,
        "resampler_places": models.resampler.places,
    }
    return LlavaConfig(
        vision_config=vision_config or tower_config(models.vision),
        text_config=text_config,
        image_token_index=image_token_id,
        image_seq_length=models.image_tokens,
        vision_feature_layer=models.vision.feature_layer,
        vision_feature_select_strategy=feature_strategy(models.vision),
        projector_hidden_act="gelu",
        projector_kind=models.projector,
        **(queries if models.projector == "resampler" else {}),
    )


def assemble(
    models: ModelSettings, tower: PreTrainedModel, language: PreTrainedModel, tokenizer: Tokenizer
) -> LlavaForConditionalGeneration:
    """A VLM of its trained parts, which it takes over, with a fresh projector.

    All is held in the language model's type. Nothing but the projector is drawn or copied: at paper
    scale the rest would be 28 GB of random weights, to be thrown away.

    The language model's embedding and head get a row for each token that the tokenizer has beyond
    its vocabulary (the image token); such rows start at the mean of the others. A mean row of the
    head never wins: its logit is the mean of the others' logits.
    """
    known = language.config.vocab_size
    if len(tokenizer) > known:
        language.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        _start_at_mean(language.get_input_embeddings().weight, known)
        _start_at_mean(language.get_output_embeddings().weight, known)
    image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    config = vlm_config(models, language.config, image_token_id, tower.config)
    dtype = language.dtype
    with torch.device("meta"):
        vlm = VLM_OF_PROJECTOR[models.projector](config)
    vlm.model.vision_tower, vlm.model.language_model = tower, language.model
    vlm.lm_head = language.lm_head
    draw_projector(vlm)
    cast_parameters(vlm, dtype)
    return vlm


@torch.no_grad()
def _start_at_mean(rows: torch.Tensor, known: int) -> None:
    """Set the rows [V, W] from ``known`` on to the mean of those before."""
    rows[known:] = rows[:known].float().mean(dim=0).to(rows.dtype)


def read_vlm_config(folder: Path) -> LlavaConfig:
    """The configuration of a saved VLM.

    Raises:
        InputError: the folder holds none, or one that no VLM has.
    """
    if not (folder / "config.json").is_file():
        raise InputError(f"no config.json in {folder}", "a VLM's folder", "run the finetune stage")
    found = model_type(folder)
    if found != LlavaConfig.model_type:
        raise InputError(
            f"a model of type '{found}' in {folder}", "llava", "run the finetune stage"
        )
    try:
        return LlavaConfig.from_pretrained(folder)
    except UNREADABLE as error:
        raise unreadable(folder / "config.json", error) from error


def load_vlm(folder: Path) -> LlavaForConditionalGeneration:
    """A saved VLM, on the CPU, in the type it was saved in.

    Raises:
        InputError: the folder holds none, or one that is not whole.
    """
    kind = vlm_class(read_vlm_config(folder))
    vlm: LlavaForConditionalGeneration = load_whole(kind, folder, dtype="auto")
    return vlm


@contextmanager
def silent_peft() -> Iterator[None]:
    """peft 0.21 reads an attribute that transformers 5.23 renames; the warning helps nobody."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="peft|transformers")
        yield


def lora_config(lora: LoraSettings, *, with_projector: bool) -> LoraConfig:
    """peft's words for LoRA on the language model, the projector trained whole beside it if asked.

    Layers are named with their home, for a vision tower has layers of the same names. Llama, Qwen2
    and Mistral name them alike.
    """
    from peft import LoraConfig

    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        bias="none",
        target_modules=rf".*language_model\..*\.({'|'.join(lora.layers)})",
        modules_to_save=["multi_modal_projector"] if with_projector else None,
    )


def with_lora(
    vlm: LlavaForConditionalGeneration, lora: LoraSettings, *, with_projector: bool
) -> PeftModel:
    """LoRA on the language model, the projector trained whole beside it if asked; rest frozen."""
    from peft import get_peft_model

    with silent_peft():
        return get_peft_model(vlm, lora_config(lora, with_projector=with_projector))


def parameters(module: torch.nn.Module, *, trainable_only: bool = False) -> int:
    """Number of parameters."""
    return sum(
        each.numel() for each in module.parameters() if each.requires_grad or not trainable_only
    )
