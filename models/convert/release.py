"""The official LLaVA-Rad release ↔ Hugging Face folders.

    adapter_config.json, adapter_model.bin     LoRA on Vicuna          ┐
    non_lora_trainables.bin                    projector               ├─▶ vlm/, vlm/adapter/
    config.json                                how they fit together   ┘
    biomedclipcxr_518.json                     open_clip's words       ┐
    biomedclipcxr_518_checkpoint.pt            both towers             ┴─▶ dual_encoder/

``vlm/`` holds the merged model, as a finetune stage leaves it; the language model's own weights are
no part of the release and come from a local folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from transformers import (
    AutoModelForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PretrainedConfig,
)

from infra.child import write_json
from infra.errors import InputError
from infra.settings.stages import (
    LORA_LAYERS,
    LanguageSettings,
    ModelSettings,
    TextEncoderSettings,
    VisionSettings,
)
from models.convert.adapter import (
    PUBLISHED_PREFIX,
    export_adapter,
    import_adapter,
    lora_numbers,
    lora_settings,
)
from models.convert.encoder import RECORD, export_encoder, import_encoder
from models.convert.files import read_json
from models.dual_encoder import DUAL_ENCODER_TYPE, CxrDualEncoder
from models.portable import forget_places
from models.processor import save_image_processor, save_vlm_processor
from models.quantized import merge_adapter
from models.tokenizers import Tokenizer, load_tokenizer, with_image_token
from models.vlm import assemble, read_vlm_config
from models.weights import model_type
from models.whole import load_whole

ENCODER_CONFIG = "biomedclipcxr_518.json"
ENCODER_CHECKPOINT = "biomedclipcxr_518_checkpoint.pt"
FEATURE_LAYER = -2  # [code] of the release: the last block but one, its final norm not applied
PUBLISHED_LANGUAGE = "lmsys/vicuna-7b-v1.5"
_CONTEXT_TOKENS = 2048  # [code] of the release: model_max_length; fewer where positions are


def import_release(
    release: Path,
    output: Path,
    language: Path,
    text_tokenizer: Path | None = None,
    *,
    with_base: bool = False,
) -> dict[str, object]:
    """Write ``dual_encoder/`` and ``vlm/`` under ``output``; returns facts to report.

    Args:
        language: the base language model's folder; the VLM is written in its type.
        text_tokenizer: a folder whose tokenizer the dual encoder gets; the release has none.
        with_base: also write ``base/``, the VLM without LoRA, on which ``vlm/adapter`` fits.

    Raises:
        InputError: a file is missing, damaged, or does not fit the others or the language model.
    """
    told = read_json(release / "config.json")
    lora_told = read_json(release / "adapter_config.json")
    settings = lora_settings(lora_told, "adapter_config.json")
    folder, vlm_folder = output / "dual_encoder", output / "vlm"
    dual = import_encoder(release / ENCODER_CHECKPOINT, release / ENCODER_CONFIG, folder)
    save_image_processor(dual.config.vision_config.image_size, folder)
    if text_tokenizer is not None:
        load_tokenizer(text_tokenizer).save_pretrained(folder)
    tokenizer = with_image_token(load_tokenizer(language))
    base, models = base_vlm(dual, language, tokenizer, told)
    prefix = import_adapter(release, settings, base, vlm_folder / "adapter")
    if with_base:
        base.save_pretrained(output / "base")
        save_vlm_processor(models, tokenizer, output / "base")
    merge_adapter(base, vlm_folder / "adapter").save_pretrained(vlm_folder)
    save_vlm_processor(models, tokenizer, vlm_folder)
    record: dict[str, object] = {
        "config": told,
        "adapter_config": lora_told,
        "projector_prefix": prefix,
    }
    write_json(vlm_folder / RECORD, record)
    forget_places(output)
    return {
        "image_tokens": models.image_tokens,
        "lora_rank": settings.rank,
        "text_tokenizer": text_tokenizer is not None,
    }


def base_vlm(
    dual: CxrDualEncoder, language: Path, tokenizer: Tokenizer, told: dict[str, Any]
) -> tuple[LlavaForConditionalGeneration, ModelSettings]:
    """The VLM before LoRA and projector are put in, and its shapes as a recipe would tell them.

    Raises:
        InputError: the language model is no Llama, or the release's configuration tells otherwise.
    """
    if model_type(language) != "llama":
        raise InputError(
            f"a model of type '{model_type(language)}' in {language}",
            f"llama, as {PUBLISHED_LANGUAGE} is",
            "name the release's base language model",
        )
    model = load_whole(AutoModelForCausalLM, language, dtype="auto")
    require_config(told, dual, model.config)
    models = shapes_as_settings(dual, model.config)
    vlm = assemble(models, dual.vision_model, model, tokenizer)
    return vlm.eval(), models


def require_config(told: dict[str, Any], dual: CxrDualEncoder, language: PretrainedConfig) -> None:
    """What the release's config.json tells must be what this import does; silence is no objection.

    Raises:
        InputError: it tells something else.
    """
    wanted = {
        "mm_projector_type": "mlp2x_gelu",
        "mm_hidden_size": dual.config.vision_config.hidden_size,
        "mm_vision_select_layer": FEATURE_LAYER,
        "mm_vision_select_feature": "patch",
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "hidden_size": language.hidden_size,
        "num_hidden_layers": language.num_hidden_layers,
    }
    for key, expected in wanted.items():
        if key in told and told[key] != expected:
            raise InputError(
                f"{key} {told[key]!r} in config.json",
                f"{expected!r}",
                "use the release's own files and its base language model",
            )


def shapes_as_settings(dual: CxrDualEncoder, language: PretrainedConfig) -> ModelSettings:
    """The same shapes in a recipe's words.

    Raises:
        InputError: no recipe has such shapes: too few positions for an image, say.
    """
    try:
        return _as_settings(dual, language)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "its whole"
        raise InputError(
            f"a model whose shapes no recipe has ({place}: {first['msg']})",
            "the shapes of the release and its base language model",
            "use the release's own files and its base language model",
        ) from error


def _as_settings(dual: CxrDualEncoder, language: PretrainedConfig) -> ModelSettings:
    vision, text = dual.config.vision_config, dual.config.text_config
    patches = (vision.image_size // vision.patch_size) ** 2
    positions = language.max_position_embeddings
    return ModelSettings(
        vision=VisionSettings(
            image_px=vision.image_size,
            patch_px=vision.patch_size,
            width=vision.hidden_size,
            layers=vision.num_hidden_layers,
            heads=vision.num_attention_heads,
            feature_layer=FEATURE_LAYER,
        ),
        text_encoder=TextEncoderSettings(
            width=text.hidden_size,
            layers=text.num_hidden_layers,
            heads=text.num_attention_heads,
            vocabulary=text.vocab_size,
            projection_hidden=dual.config.projection_hidden,
        ),
        language=LanguageSettings(
            width=language.hidden_size,
            feed_forward=language.intermediate_size,
            layers=language.num_hidden_layers,
            heads=language.num_attention_heads,
            key_value_heads=language.num_key_value_heads,
            vocabulary=language.vocab_size,
            # the placeholder in the text makes room for the image's first token
            context_tokens=min(_CONTEXT_TOKENS, positions - patches + 1),
            positions=positions,
        ),
        embedding=dual.config.projection_dim,
    )


def export_release(vlm_folder: Path, dual_folder: Path, output: Path) -> dict[str, object]:
    """Write the release's six files from a VLM with an adapter and a dual encoder's folder.

    Raises:
        InputError: a folder is of another kind, or the two are not of one width.
    """
    config = read_vlm_config(vlm_folder)
    if getattr(config, "projector_kind", "mlp2x_gelu") != "mlp2x_gelu":
        raise InputError(
            f"projector {config.projector_kind} in {vlm_folder}",
            "mlp2x_gelu, which the release's layout has",
            "name another VLM",
        )
    if model_type(dual_folder) != DUAL_ENCODER_TYPE:
        raise InputError(
            f"a model of type '{model_type(dual_folder)}' in {dual_folder}",
            DUAL_ENCODER_TYPE,
            "name a pretrain stage or an imported dual encoder",
        )
    recorded = (vlm_folder / RECORD).is_file()
    record = read_json(vlm_folder / RECORD) if recorded else {}
    prefix = str(record.get("projector_prefix", PUBLISHED_PREFIX))
    output.mkdir(parents=True, exist_ok=True)
    export_encoder(dual_folder, output / ENCODER_CHECKPOINT, output / ENCODER_CONFIG)
    blocks = config.text_config.num_hidden_layers
    trained = export_adapter(vlm_folder, output, prefix, blocks)
    told = record.get("adapter_config") or published_adapter_config(trained)
    kept = lora_settings(told if isinstance(told, dict) else {}, str(vlm_folder / RECORD))
    if kept != lora_numbers(trained, str(vlm_folder / "adapter")):
        raise InputError(
            f"rank {kept.rank} and alpha {kept.alpha} in {vlm_folder / RECORD}",
            "those of the adapter beside it",
            "import the release again",
        )
    write_json(output / "adapter_config.json", told)
    write_json(output / "config.json", record.get("config") or published_config(config))
    return {"lora_rank": told["r"], "files": sorted(path.name for path in output.iterdir())}


def published_adapter_config(trained: dict[str, Any]) -> dict[str, object]:
    """peft 0.4's words, which the release's code reads, for an adapter that was trained here."""
    return {
        "base_model_name_or_path": PUBLISHED_LANGUAGE,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": trained["lora_alpha"],
        "lora_dropout": trained["lora_dropout"],
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": trained["r"],
        "target_modules": list(LORA_LAYERS),
        "task_type": "CAUSAL_LM",
    }


def published_config(config: LlavaConfig) -> dict[str, object]:
    """LLaVA's configuration, as its code reads it, for a VLM that was trained here."""
    text = config.text_config
    return {
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": "llava",
        "mm_hidden_size": config.vision_config.hidden_size,
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": config.vision_feature_layer,
        "mm_vision_tower": "biomedclip_cxr_518",
        "mm_vision_tower_checkpoint": ENCODER_CHECKPOINT,
        "mm_vision_tower_config": ENCODER_CONFIG,
        "hidden_act": text.hidden_act,
        "hidden_size": text.hidden_size,
        "intermediate_size": text.intermediate_size,
        "max_position_embeddings": text.max_position_embeddings,
        "num_attention_heads": text.num_attention_heads,
        "num_hidden_layers": text.num_hidden_layers,
        "num_key_value_heads": text.num_key_value_heads,
        "rms_norm_eps": text.rms_norm_eps,
        "use_mm_proj": True,
        "vocab_size": text.vocab_size - 1,  # without the image token, which LLaVA has no row for
    }
