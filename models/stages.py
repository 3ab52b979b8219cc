"""What each kind of stage trains: the model from its inputs, its batches, and what it leaves.

    language   report text ─▶ a small Llama and its tokenizer (stands in for Vicuna)
    pretrain   images and text ─▶ dual encoder, contrastive
    align      its vision tower + the language model ─▶ VLM, projector only
    finetune   VLM ─▶ VLM, projector and LoRA (also saved as an adapter)

Every output is a folder in Hugging Face's layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlavaForConditionalGeneration, PreTrainedModel
from transformers.models.bert import BertModel
from transformers.models.dinov2 import Dinov2Model
from transformers.models.llama import LlamaForCausalLM

from infra.runs import TrainRun
from infra.weights import weights_folder
from models.collate import Batch, ConversationCollator, PairCollator, PromptKind
from models.data import Sample
from models.dual_encoder import DUAL_ENCODER_TYPE, CxrDualEncoder, dual_encoder_config
from models.processor import save_image_processor, save_vlm_processor
from models.projector import projector_of
from models.prompts import conversation_prompt
from models.tokenizers import (
    Tokenizer,
    load_tokenizer,
    train_language_tokenizer,
    train_text_tokenizer,
    with_image_token,
)
from models.vlm import assemble, llama_config, load_vlm, with_lora
from models.weights import frozen_type, input_of_type, language_folder

ReadTexts = Callable[[], Iterable[Sample]]


@dataclass(frozen=True)
class Prepared:
    """A stage ready to train.

    ``save`` writes the trained model into a folder; it may change the model, so it comes last.
    ``with_pixels`` says whether examples' images are read at all.
    """

    model: torch.nn.Module
    collate: Callable[[list[Sample]], Batch]
    save: Callable[[Path], None]
    with_pixels: bool = True


def prepare(run: TrainRun, read_texts: ReadTexts) -> Prepared:
    """Build the stage's model from its inputs.

    Args:
        read_texts: the training examples without pixels, for stages that learn a tokenizer.

    Raises:
        InputError: an input folder is missing or holds another kind of model.
        Unavailable: published weights that the recipe names are not under ``weights_root``.
    """
    match run.stage.kind:
        case "language":
            return _prepare_language(run, read_texts)
        case "pretrain":
            return _prepare_pretrain(run, read_texts)
        case "align":
            return _prepare_align(run)
        case "finetune":
            return _prepare_finetune(run)


def _prepare_language(run: TrainRun, read_texts: ReadTexts) -> Prepared:
    shapes = run.models.language
    texts = (f"{conversation_prompt(sample.turns, '')} {sample.target}" for sample in read_texts())
    tokenizer = train_language_tokenizer(texts, shapes)
    model = LlamaForCausalLM(llama_config(shapes, tokenizer))
    # Vicuna has seen conversations and running text; so does its stand-in.
    collate = _conversations(run, tokenizer, ("turns", "image-only"), image_tokens=0)

    def save(folder: Path) -> None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    return Prepared(model, collate, save, with_pixels=False)


def _prepare_pretrain(run: TrainRun, read_texts: ReadTexts) -> Prepared:
    text, vision = run.models.text_encoder, run.models.vision
    if text.weights:
        tokenizer = load_tokenizer(weights_folder(run.weights_root, text.weights))
    else:
        tokenizer = train_text_tokenizer((sample.target for sample in read_texts()), text)
    model = CxrDualEncoder(dual_encoder_config(run.models, len(tokenizer)))
    if text.weights:
        published = BertModel.from_pretrained(weights_folder(run.weights_root, text.weights))
        model.text_model.load_state_dict(published.state_dict())
    if vision.weights:
        load_vision_tower(model.vision_model, weights_folder(run.weights_root, vision.weights))
    if "vision" not in run.stage.trainable:
        model.vision_model.requires_grad_(False)
    if "text_encoder" not in run.stage.trainable:
        model.text_model.requires_grad_(False)

    def save(folder: Path) -> None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        save_image_processor(vision.image_px, folder)

    collate = PairCollator(tokenizer, text.context_tokens, run.stage.negatives)
    return Prepared(model, collate, save)


def load_vision_tower(tower: Dinov2Model, folder: Path) -> None:
    """Load published DINOv2 weights but for the mask token of its own pretraining."""
    state = Dinov2Model.from_pretrained(folder).state_dict()
    state.pop("embeddings.mask_token", None)
    tower.load_state_dict(state)


def _prepare_align(run: TrainRun) -> Prepared:
    dual = CxrDualEncoder.from_pretrained(input_of_type(run, DUAL_ENCODER_TYPE))
    folder, dtype = language_folder(run), frozen_type(run)
    tokenizer = with_image_token(load_tokenizer(folder))
    language = LlamaForCausalLM.from_pretrained(folder, dtype=dtype)
    vlm = assemble(run.models, dual.vision_model, language, tokenizer).to(dtype)
    vlm.requires_grad_(False)
    projector_of(vlm).requires_grad_(True).float()
    return _prepared_vlm(run, vlm, tokenizer)


def _prepare_finetune(run: TrainRun) -> Prepared:
    folder, parts = input_of_type(run, "llava"), run.stage.trainable
    vlm, tokenizer = load_vlm(folder), load_tokenizer(folder)
    if run.stage.lora is not None:
        return _prepare_lora(run, vlm, tokenizer)
    projector_of(vlm).requires_grad_("projector" in parts)
    vlm.model.vision_tower.requires_grad_("vision" in parts)
    vlm.model.language_model.requires_grad_("language" in parts)
    vlm.lm_head.requires_grad_("language" in parts)
    trainable_in_float32(vlm)
    return _prepared_vlm(run, vlm, tokenizer)


def _prepare_lora(
    run: TrainRun, vlm: LlavaForConditionalGeneration, tokenizer: Tokenizer
) -> Prepared:
    assert run.stage.lora is not None
    parts = run.stage.trainable
    adapted = with_lora(vlm, run.stage.lora, with_projector="projector" in parts)
    vlm.model.vision_tower.requires_grad_("vision" in parts)
    trainable_in_float32(adapted)
    collate = _conversations(run, tokenizer, (run.stage.prompt,), run.models.vision.patches)

    def save(folder: Path) -> None:
        adapted.save_pretrained(str(folder / "adapter"), safe_serialization=True)
        _save_vlm(run, adapted.merge_and_unload(), tokenizer, folder)

    return Prepared(adapted, collate, save)


def _prepared_vlm(
    run: TrainRun, vlm: LlavaForConditionalGeneration, tokenizer: Tokenizer
) -> Prepared:
    collate = _conversations(run, tokenizer, (run.stage.prompt,), run.models.vision.patches)
    return Prepared(vlm, collate, lambda folder: _save_vlm(run, vlm, tokenizer, folder))


def _conversations(
    run: TrainRun, tokenizer: Tokenizer, prompts: tuple[PromptKind, ...], image_tokens: int
) -> ConversationCollator:
    return ConversationCollator(
        tokenizer, prompts, image_tokens, run.models.language.context_tokens
    )


def trainable_in_float32(model: torch.nn.Module) -> None:
    """Hold every trainable parameter in float32: small updates are lost in bfloat16."""
    for each in model.parameters():
        if each.requires_grad:
            each.data = each.data.float()


def _save_vlm(run: TrainRun, vlm: PreTrainedModel, tokenizer: Tokenizer, folder: Path) -> None:
    """One type for all weights, so that the folder loads without casts."""
    vlm.to(frozen_type(run)).save_pretrained(folder)
    save_vlm_processor(run.models.vision, tokenizer, folder)
