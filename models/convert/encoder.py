"""BiomedCLIP-CXR as open_clip saved it ↔ a ``CxrDualEncoder`` folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, Dinov2Config

from infra.child import write_json
from infra.errors import InputError
from models.convert.files import read_checkpoint, read_json
from models.convert.layouts import open_clip_dual
from models.convert.pairs import Pair, State, require_shapes, rows, to_ours, to_theirs
from models.dual_encoder import CxrDualEncoder, CxrDualEncoderConfig
from models.whole import load_whole

HEAD_WIDTH = 64
"""Width of one attention head in ViT-S/B/L, CLIP's towers and BERT; no state dict tells it."""
RECORD = "release.json"
"""What the release tells and Hugging Face's layout has no place for, kept for the way back."""
PUBLISHED_TEXT_TOWER = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"  # the release's JSON
PUBLISHED_VISION_TOWER = "vit_base_patch14_dinov2.lvd142m"  # the release's JSON
POSITION_IDS = "text.transformer.embeddings.position_ids"
"""A buffer that older versions of transformers saved: 0, 1, 2, …, which any model makes itself."""


@dataclass(frozen=True)
class EncoderShapes:
    """What a checkpoint's tensors tell of the towers; lengths in tensors' own units."""

    vision: Dinov2Config
    text: BertConfig
    embedding: int
    hidden: int
    layer_scale: bool
    pooler: bool

    @property
    def pairs(self) -> list[Pair]:
        return open_clip_dual(
            self.vision.num_hidden_layers,
            self.text.num_hidden_layers,
            layer_scale=self.layer_scale,
            pooler=self.pooler,
        )


def count_blocks(state: State, pattern: str) -> int:
    """How many blocks there are, from names that match ``pattern`` with the number as a group."""
    return len({found[1] for name in state if (found := re.match(pattern, name))})


def require_tower(
    kernel: torch.Tensor, positions: torch.Tensor, axes: int, blocks: int, where: str
) -> None:
    """A tower has blocks, a square convolution in front, and positions of so many axes.

    Raises:
        InputError: this one has not.
    """
    held, told = tuple(kernel.shape), tuple(positions.shape)
    if len(held) != 4 or held[2] != held[3] or 0 in held or len(told) != axes or not blocks:
        raise InputError(
            f"{blocks} blocks, a patch embedding {held} and positions {told} in {where}",
            f"blocks, a square patch embedding of 4 axes and positions of {axes}",
            "check that the file is whole and of that kind",
        )


def dinov2_shapes(state: State, where: str) -> Dinov2Config:
    """The tower's configuration from a timm state dict's tensors.

    Raises:
        InputError: it is no Vision Transformer for square images.
    """
    try:
        kernel, positions = state["patch_embed.proj.weight"], state["pos_embed"]
    except KeyError as error:
        raise InputError(
            f"no tensor {error} in {where}",
            "a Vision Transformer in timm's layout",
            "check that the file is whole and of that kind",
        ) from error
    blocks = count_blocks(state, r"blocks\.(\d+)\.")
    require_tower(kernel, positions, 3, blocks, where)
    width, patch, patches = kernel.shape[0], kernel.shape[-1], positions.shape[1] - 1
    side = isqrt(max(patches, 0))
    if side * side != patches or not patches:
        raise InputError(
            f"{patches + 1} position embeddings in {where}",
            "one for CLS and a square grid of patches",
            "use a tower for square images, without register tokens",
        )
    first = state.get("blocks.0.mlp.fc1.weight")
    return Dinov2Config(
        hidden_size=width,
        num_hidden_layers=blocks,
        num_attention_heads=max(1, width // HEAD_WIDTH),
        image_size=side * patch,
        patch_size=patch,
        mlp_ratio=4 if first is None else max(1, rows(first) // width),
        use_mask_token=False,
    )


def encoder_shapes(state: State, where: str) -> EncoderShapes:
    """Shapes of an open_clip checkpoint.

    Raises:
        InputError: it has no timm tower or no BERT text tower.
    """
    trunk = {
        name.removeprefix("visual.trunk."): value
        for name, value in state.items()
        if name.startswith("visual.trunk.")
    }
    vision = dinov2_shapes(trunk, where)
    words = "text.transformer.embeddings.word_embeddings.weight"
    positions = "text.transformer.embeddings.position_embeddings.weight"
    needed = (words, positions, "text.proj.0.weight", "text.proj.2.weight")
    if not all(name in state for name in needed):
        raise InputError(
            f"no text tower in {where}",
            f"tensors {', '.join(needed)}",
            "use a checkpoint with a BERT text tower and an MLP head",
        )
    width = state[words].shape[1]
    text = BertConfig(
        vocab_size=state[words].shape[0],
        hidden_size=width,
        num_hidden_layers=count_blocks(state, r"text\.transformer\.encoder\.layer\.(\d+)\."),
        num_attention_heads=max(1, width // HEAD_WIDTH),
        intermediate_size=4 * width,
        max_position_embeddings=state[positions].shape[0],
    )
    hidden, embedding = state["text.proj.0.weight"].shape[0], state["text.proj.2.weight"].shape[0]
    layer_scale = "blocks.0.ls1.gamma" in trunk
    pooler = "text.transformer.pooler.dense.weight" in state
    return EncoderShapes(vision, text, embedding, hidden, layer_scale, pooler)


def import_encoder(checkpoint: Path, config: Path, output: Path) -> CxrDualEncoder:
    """Read an open_clip checkpoint and its JSON; write the dual encoder's folder and return it.

    A tower without LayerScale becomes a ``Dinov2Model`` whose scales are one, which is the same
    function. A pooler that the file lacks is zero: no path leads through it.

    Raises:
        InputError: a file is missing, damaged or of another layout.
    """
    told = read_json(config)
    state, rest = read_checkpoint(checkpoint)
    had_position_ids = state.pop(POSITION_IDS, None) is not None
    shapes = encoder_shapes(state, checkpoint.name)
    require_open_clip(told, shapes, config.name)
    ours = to_ours(shapes.pairs, state, checkpoint.name)
    model: CxrDualEncoder = CxrDualEncoder(
        CxrDualEncoderConfig(
            vision_config=shapes.vision.to_dict(),
            text_config=shapes.text.to_dict(),
            projection_dim=shapes.embedding,
            projection_hidden=shapes.hidden,
        )
    ).to(state["logit_scale"].dtype)
    fill_absent(model, ours)
    require_shapes(ours, model.state_dict(), checkpoint.name)
    model.load_state_dict(ours)
    model.save_pretrained(output)
    plain = {key: rest[key] for key in ("epoch", "name") if isinstance(rest.get(key), int | str)}
    record: dict[str, object] = {
        "open_clip": told,
        "checkpoint": plain,
        "layer_scale": shapes.layer_scale,
        "pooler": shapes.pooler,
        "position_ids": had_position_ids,
    }
    write_json(output / RECORD, record)
    return model


def fill_absent(model: torch.nn.Module, ours: dict[str, torch.Tensor]) -> None:
    """Add what a file may lack without loss: LayerScale as ones, the unused pooler as zeros."""
    for name, value in model.state_dict().items():
        if name not in ours and ".layer_scale" in name:
            ours[name] = torch.ones_like(value)
        if name not in ours and ".pooler." in name:
            ours[name] = torch.zeros_like(value)


def require_open_clip(told: dict[str, Any], shapes: EncoderShapes, where: str) -> None:
    """The JSON and the checkpoint's tensors must tell the same.

    Raises:
        InputError: they differ, or the text is pooled or projected in another way.
    """
    vision, text = (_table(told, key, where) for key in ("vision_cfg", "text_cfg"))
    wanted = [
        ("embed_dim", told.get("embed_dim"), shapes.embedding),
        ("vision_cfg.image_size", vision.get("image_size"), shapes.vision.image_size),
        ("vision_cfg.timm_proj", vision.get("timm_proj"), "linear"),
        ("text_cfg.hf_proj_type", text.get("hf_proj_type"), "mlp"),
        ("text_cfg.hf_pooler_type", text.get("hf_pooler_type"), "cls_last_hidden_state_pooler"),
    ]
    for key, held, expected in wanted:
        if held != expected:
            raise InputError(
                f"{key} {held!r} in {where}", f"{expected!r}", "use the JSON of this checkpoint"
            )
    _require_context(text.get("context_length"), shapes.text.max_position_embeddings, where)


def _require_context(tokens: Any, positions: int, where: str) -> None:
    """How long a text is read, which no tensor tells; absent is open_clip's default."""
    if tokens is not None and (type(tokens) is not int or not 0 < tokens <= positions):
        raise InputError(
            f"text_cfg.context_length {tokens!r} in {where}",
            f"a number of tokens up to the text tower's {positions} positions",
            "use the JSON of this checkpoint",
        )


def _table(told: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    value = told.get(key, {})
    if not isinstance(value, dict):
        raise InputError(f"{key} {value!r} in {where}", "an object", "use its publisher's JSON")
    return value


def export_encoder(folder: Path, checkpoint: Path, config: Path) -> None:
    """Write a dual encoder's folder as open_clip's training checkpoint (weights alone) and JSON.

    Raises:
        InputError: the folder holds no dual encoder with a DINOv2 tower that is pooled by CLS.
    """
    model: CxrDualEncoder = load_whole(CxrDualEncoder, folder, dtype="auto")
    if model.config.vision_config.model_type != "dinov2":
        raise InputError(
            f"a {model.config.vision_config.model_type} tower in {folder}",
            "a DINOv2 tower, which the release's layout has",
            "name another dual encoder",
        )
    if model.config.image_pooling != "tower":
        raise InputError(
            f"an image head over {model.config.image_pooling} in {folder}",
            "a head over CLS, which the release's layout has",
            "train with models.vision.pooling=tower",
        )
    record = _record(folder, model)
    pairs = open_clip_dual(
        model.config.vision_config.num_hidden_layers,
        model.config.text_config.num_hidden_layers,
        layer_scale=record["layer_scale"],
        pooler=record["pooler"],
    )
    theirs = to_theirs(pairs, model.state_dict())
    if record["position_ids"]:
        theirs[POSITION_IDS] = torch.arange(model.config.text_config.max_position_embeddings)[None]
    state = {f"module.{name}": value.contiguous() for name, value in theirs.items()}
    torch.save({**record["checkpoint"], "state_dict": state}, checkpoint)
    write_json(config, record["open_clip"])


_FLAGS, _TABLES = ("layer_scale", "pooler", "position_ids"), ("checkpoint", "open_clip")


def _record(folder: Path, model: CxrDualEncoder) -> dict[str, Any]:
    """What the import kept for the way back, or the words for a model that was trained here.

    Raises:
        InputError: it is no such record, or denies a part that is there.
    """
    if not (folder / RECORD).is_file():
        return default_record(model)
    record = read_json(folder / RECORD)
    for key, kind in (*((key, bool) for key in _FLAGS), *((key, dict) for key in _TABLES)):
        if not isinstance(record.get(key), kind):
            raise InputError(
                f"{key} {record.get(key)!r} in {folder / RECORD}",
                f"a {kind.__name__}, as an import writes it",
                "import the release again",
            )
    scaled = any(bool((p != 1).any()) for n, p in model.named_parameters() if ".layer_scale" in n)
    if scaled and not record["layer_scale"]:
        raise InputError(
            f"layer_scale false in {folder / RECORD}",
            "true, as its tower has LayerScale",
            "import the release again",
        )
    return record


def default_record(model: CxrDualEncoder) -> dict[str, Any]:
    """A record for a dual encoder that was trained here, in the release's words."""
    open_clip = {
        "embed_dim": model.config.projection_dim,
        "vision_cfg": {
            "timm_model_name": PUBLISHED_VISION_TOWER,
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": model.config.vision_config.image_size,
        },
        "text_cfg": {
            "hf_model_name": PUBLISHED_TEXT_TOWER,
            "hf_tokenizer_name": PUBLISHED_TEXT_TOWER,
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": 256,
        },
    }
    facts = {"layer_scale": True, "pooler": True, "position_ids": False}
    return {"open_clip": open_clip, "checkpoint": {"epoch": 0, "name": "cxrflow"}, **facts}
