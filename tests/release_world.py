"""A release in the official files' layout at small width, drawn at random, and its base model."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer as BackendTokenizer
from tokenizers import pre_tokenizers
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

Tensors = dict[str, torch.Tensor]

VISION = {"width": 128, "layers": 3, "heads": 2, "patch_px": 14, "side": 4}
TEXT = {"width": 64, "layers": 2, "heads": 1, "vocabulary": 300, "positions": 40}
LANGUAGE = {"width": 48, "layers": 2, "heads": 4, "feed_forward": 80, "vocabulary": 260}
HIDDEN, EMBEDDING, RANK, ALPHA = 40, 24, 4, 8
IMAGE_PX = VISION["patch_px"] * VISION["side"]
PREFIX = "base_model.model.model."

PAPER_VISION = {"width": 768, "layers": 12, "heads": 12, "patch_px": 14, "side": 37}
PAPER_TEXT = {"width": 768, "layers": 12, "heads": 12, "vocabulary": 30522, "positions": 512}

Shapes = dict[str, tuple[int, ...]]


def trunk_shapes(vision: dict[str, int], *, layer_scale: bool = True) -> Shapes:
    """Names and shapes of timm's Vision Transformer."""
    w, p = vision["width"], vision["patch_px"]
    shapes: Shapes = {
        "cls_token": (1, 1, w),
        "pos_embed": (1, vision["side"] ** 2 + 1, w),
        "patch_embed.proj.weight": (w, 3, p, p),
        "patch_embed.proj.bias": (w,),
        "norm.weight": (w,),
        "norm.bias": (w,),
    }
    block: Shapes = {
        f"{name}.{end}": (w,) for name in ("norm1", "norm2") for end in ("weight", "bias")
    }
    block |= {"attn.qkv.weight": (3 * w, w), "attn.qkv.bias": (3 * w,)}
    block |= {"attn.proj.weight": (w, w), "attn.proj.bias": (w,)}
    block |= {"mlp.fc1.weight": (4 * w, w), "mlp.fc1.bias": (4 * w,)}
    block |= {"mlp.fc2.weight": (w, 4 * w), "mlp.fc2.bias": (w,)}
    if layer_scale:
        block |= {"ls1.gamma": (w,), "ls2.gamma": (w,)}
    for number in range(vision["layers"]):
        shapes |= {f"blocks.{number}.{name}": shape for name, shape in block.items()}
    return shapes


def bert_shapes(text: dict[str, int]) -> Shapes:
    """Names and shapes of a BERT encoder with its pooler."""
    w = text["width"]
    shapes: Shapes = {
        "embeddings.word_embeddings.weight": (text["vocabulary"], w),
        "embeddings.position_embeddings.weight": (text["positions"], w),
        "embeddings.token_type_embeddings.weight": (2, w),
    }
    square = ["pooler.dense"]
    norms = ["embeddings.LayerNorm"]
    for number in range(text["layers"]):
        layer = f"encoder.layer.{number}"
        square += [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
        square += [f"{layer}.attention.output.dense"]
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        shapes |= {f"{layer}.intermediate.dense.weight": (4 * w, w)}
        shapes |= {f"{layer}.intermediate.dense.bias": (4 * w,)}
        shapes |= {f"{layer}.output.dense.weight": (w, 4 * w), f"{layer}.output.dense.bias": (w,)}
    for name in square:
        shapes |= {f"{name}.weight": (w, w), f"{name}.bias": (w,)}
    for name in norms:
        shapes |= {f"{name}.weight": (w,), f"{name}.bias": (w,)}
    return shapes


def checkpoint_shapes(
    vision: dict[str, int], text: dict[str, int], hidden: int, embedding: int
) -> Shapes:
    """Every tensor of the open_clip checkpoint, without the training's ``module.``."""
    return {
        **{f"visual.trunk.{name}": shape for name, shape in trunk_shapes(vision).items()},
        **{f"text.transformer.{name}": shape for name, shape in bert_shapes(text).items()},
        "visual.head.proj.weight": (embedding, vision["width"]),
        "text.proj.0.weight": (hidden, text["width"]),
        "text.proj.2.weight": (embedding, hidden),
        "logit_scale": (),
    }


def adapter_shapes(language: dict[str, int], rank: int) -> Shapes:
    """Every tensor of adapter_model.bin."""
    w, wide = language["width"], language["feed_forward"]
    layers = {f"self_attn.{part}_proj": (w, w) for part in ("q", "k", "v", "o")}
    layers |= {"mlp.gate_proj": (w, wide), "mlp.up_proj": (w, wide), "mlp.down_proj": (wide, w)}
    shapes: Shapes = {}
    for number in range(language["layers"]):
        for name, (enters, leaves) in layers.items():
            base = f"{PREFIX}layers.{number}.{name}"
            shapes |= {f"{base}.lora_A.weight": (rank, enters)}
            shapes |= {f"{base}.lora_B.weight": (leaves, rank)}
    return shapes


def projector_shapes(vision_width: int, language_width: int, prefix: str = PREFIX) -> Shapes:
    """Every tensor of non_lora_trainables.bin."""
    w = language_width
    return {
        f"{prefix}mm_projector.0.weight": (w, vision_width),
        f"{prefix}mm_projector.0.bias": (w,),
        f"{prefix}mm_projector.2.weight": (w, w),
        f"{prefix}mm_projector.2.bias": (w,),
    }


def drawn(shapes: Shapes, seed: int) -> Tensors:
    """Random tensors: norms and scales around one, others small, none zero."""
    draw = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        value = torch.randn(shape, generator=draw) * 0.1
        around_one = ("norm" in name.lower() and name.endswith("weight")) or name.endswith("gamma")
        tensors[name] = value + 1 if around_one else value
    return tensors


def open_clip_config() -> dict[str, object]:
    text = {
        "hf_model_name": "lab/bert",
        "hf_tokenizer_name": "lab/bert",
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": 32,
    }
    vision = {
        "timm_model_name": "vit_small_test",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        "image_size": IMAGE_PX,
    }
    return {"embed_dim": EMBEDDING, "vision_cfg": vision, "text_cfg": text}


def training_checkpoint(tensors: Tensors) -> dict[str, object]:
    """As open_clip saves while it trains: names with ``module.``, Adam's state beside them."""
    moments = {
        number: {"step": torch.tensor(7.0), "exp_avg": value * 0, "exp_avg_sq": value * 0}
        for number, value in enumerate(tensors.values())
    }
    groups = [{"lr": 1e-4, "betas": (0.9, 0.98), "eps": 1e-6, "params": list(moments)}]
    return {
        "epoch": 32,
        "name": "drawn",
        "state_dict": {f"module.{name}": value for name, value in tensors.items()},
        "optimizer": {"state": moments, "param_groups": groups},
    }


@cache
def encoder_tensors() -> Tensors:
    return drawn(checkpoint_shapes(VISION, TEXT, HIDDEN, EMBEDDING), seed=1)


def write_release(folder: Path, prefix: str = PREFIX) -> Path:
    """The six files of a release."""
    folder.mkdir(parents=True)
    adapter = {
        "base_model_name_or_path": "lmsys/vicuna-7b-v1.5",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "layers_pattern": None,
        "layers_to_transform": None,
        "lora_alpha": ALPHA,
        "lora_dropout": 0.05,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": RANK,
        "revision": None,
        "target_modules": [
            "v_proj",
            "k_proj",
            "o_proj",
            "gate_proj",
            "q_proj",
            "up_proj",
            "down_proj",
        ],
        "task_type": "CAUSAL_LM",
    }
    config = {
        "model_type": "llava",
        "hidden_size": LANGUAGE["width"],
        "mm_hidden_size": VISION["width"],
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_use_im_start_end": False,
    }
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "biomedclipcxr_518.json").write_text(json.dumps(open_clip_config()))
    torch.save(training_checkpoint(encoder_tensors()), folder / "biomedclipcxr_518_checkpoint.pt")
    torch.save(drawn(adapter_shapes(LANGUAGE, RANK), seed=2), folder / "adapter_model.bin")
    shapes = projector_shapes(VISION["width"], LANGUAGE["width"], prefix)
    torch.save(drawn(shapes, seed=3), folder / "non_lora_trainables.bin")
    return folder


def write_language(folder: Path, **changes: int) -> Path:
    """A Llama in Vicuna's published layout, without an image token."""
    shapes = {**LANGUAGE, **changes}
    words = ["<unk>", "<s>", "</s>", *(f"w{number}" for number in range(shapes["vocabulary"] - 3))]
    backend = BackendTokenizer(WordLevel({word: n for n, word in enumerate(words)}, "<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    torch.manual_seed(4)
    config = LlamaConfig(
        vocab_size=shapes["vocabulary"],
        hidden_size=shapes["width"],
        intermediate_size=shapes["feed_forward"],
        num_hidden_layers=shapes["layers"],
        num_attention_heads=shapes["heads"],
        rms_norm_eps=1e-5,
        initializer_range=0.15,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
