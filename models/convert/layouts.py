"""Tensor names of the published layouts beside Hugging Face's: timm, open_clip, BERT, LoRA, LLaVA.

A layout is a list of pairs for a number of layers; together they name every tensor of a file.
"""

from __future__ import annotations

from infra.settings.stages import LORA_LAYERS
from models.convert.pairs import Pair, one_each

BOTH = ("weight", "bias")
CLIP_PREFIX = "visual."
PROJECTOR_LAYERS = {"0": "linear_1", "2": "linear_2"}
"""LLaVA's ``mm_projector`` is a sequence: linear, GELU, linear."""


def timm_vit(layers: int, *, layer_scale: bool) -> list[Pair]:
    """timm's Vision Transformer ↔ ``Dinov2Model``; query, key and value are one layer in timm."""
    pairs = [
        Pair.one("cls_token", "embeddings.cls_token"),
        Pair.one("pos_embed", "embeddings.position_embeddings"),
        *one_each("patch_embed.proj", "embeddings.patch_embeddings.projection", BOTH),
    ]
    for number in range(layers):
        block, layer = f"blocks.{number}", f"encoder.layer.{number}"
        pairs += _timm_block(block, layer)
        if layer_scale:
            pairs += [
                Pair.one(f"{block}.ls1.gamma", f"{layer}.layer_scale1.lambda1"),
                Pair.one(f"{block}.ls2.gamma", f"{layer}.layer_scale2.lambda1"),
            ]
    return [*pairs, *one_each("norm", "layernorm", BOTH)]


def _timm_block(block: str, layer: str) -> list[Pair]:
    fused = [
        Pair(
            f"{block}.attn.qkv.{end}",
            tuple(f"{layer}.attention.{part}_proj.{end}" for part in ("q", "k", "v")),
        )
        for end in BOTH
    ]
    same = {
        "norm1": "norm1",
        "attn.proj": "attention.o_proj",
        "norm2": "norm2",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }
    pairs = [one_each(f"{block}.{a}", f"{layer}.{b}", BOTH) for a, b in same.items()]
    return [*fused, *(pair for each in pairs for pair in each)]


def clip_vit(layers: int) -> list[Pair]:
    """open_clip's own Vision Transformer (OpenAI's layout) ↔ ``CLIPVisionModel``."""
    pairs = [
        Pair.one("class_embedding", "embeddings.class_embedding"),
        Pair.one("positional_embedding", "embeddings.position_embedding.weight"),
        Pair.one("conv1.weight", "embeddings.patch_embedding.weight"),
        *one_each("ln_pre", "pre_layrnorm", BOTH),
        *one_each("ln_post", "post_layernorm", BOTH),
    ]
    same = {
        "ln_1": "layer_norm1",
        "attn.out_proj": "self_attn.out_proj",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    for number in range(layers):
        block, layer = f"transformer.resblocks.{number}", f"encoder.layers.{number}"
        for theirs, ours in same.items():
            pairs += one_each(f"{block}.{theirs}", f"{layer}.{ours}", BOTH)
        pairs += [
            Pair(
                f"{block}.attn.in_proj_{end}",
                tuple(f"{layer}.self_attn.{part}_proj.{end}" for part in ("q", "k", "v")),
            )
            for end in BOTH
        ]
    return pairs


def bert_names(layers: int, *, pooler: bool) -> list[str]:
    """Tensors of a BERT encoder; open_clip keeps Hugging Face's names."""
    embeddings = ("word_embeddings", "position_embeddings", "token_type_embeddings")
    parts = [f"attention.self.{part}" for part in ("query", "key", "value")]
    parts += ["attention.output.dense", "attention.output.LayerNorm"]
    parts += ["intermediate.dense", "output.dense", "output.LayerNorm"]
    names = [f"embeddings.{name}.weight" for name in embeddings]
    modules = ["embeddings.LayerNorm"]
    modules += [f"encoder.layer.{number}.{part}" for number in range(layers) for part in parts]
    modules += ["pooler.dense"] if pooler else []
    return names + [f"{module}.{end}" for module in modules for end in BOTH]


def open_clip_dual(
    vision_layers: int, text_layers: int, *, layer_scale: bool, pooler: bool
) -> list[Pair]:
    """open_clip's timm tower, Hugging Face text tower and heads ↔ ``CxrDualEncoder``."""
    trunk = timm_vit(vision_layers, layer_scale=layer_scale)
    return [
        *(
            Pair(f"visual.trunk.{pair.theirs}", tuple(f"vision_model.{name}" for name in pair.ours))
            for pair in trunk
        ),
        *(
            Pair.one(f"text.transformer.{name}", f"text_model.{name}")
            for name in bert_names(text_layers, pooler=pooler)
        ),
        Pair.one("visual.head.proj.weight", "visual_projection.weight"),
        Pair.one("text.proj.0.weight", "text_projection.linear_1.weight"),
        Pair.one("text.proj.2.weight", "text_projection.linear_2.weight"),
        Pair.one("logit_scale", "logit_scale"),
    ]


def lora(layers: int) -> list[Pair]:
    """peft's adapter of LLaVA's own class ↔ of ``LlavaForConditionalGeneration``."""
    homes = {
        name: "mlp" if name in ("gate_proj", "up_proj", "down_proj") else "self_attn"
        for name in LORA_LAYERS
    }
    return [
        Pair.one(
            f"base_model.model.model.layers.{number}.{homes[name]}.{name}.lora_{side}.weight",
            "base_model.model.model.language_model."
            f"layers.{number}.{homes[name]}.{name}.lora_{side}.weight",
        )
        for number in range(layers)
        for name in LORA_LAYERS
        for side in ("A", "B")
    ]


def projector(prefix: str) -> list[Pair]:
    """LLaVA's ``mm_projector`` under a prefix ↔ our projector in an adapter's file."""
    return [
        pair
        for number, name in PROJECTOR_LAYERS.items()
        for pair in one_each(
            f"{prefix}mm_projector.{number}",
            f"base_model.model.model.multi_modal_projector.{name}",
            BOTH,
        )
    ]
