"""What each kind of stage trains: the model from its inputs, its batches, and what it leaves.

    language   report text ─▶ a small language model and its tokenizer (stands in for Vicuna)
    pretrain   images and text ─▶ dual encoder, contrastive
    align      its vision tower + the language model ─▶ VLM, projector only
    finetune   VLM ─▶ VLM, projector and LoRA (also saved as an adapter)
    autoencode, diffuse, guide   the parts of CXR-SD (models.diffusion_stages)

Every output is a folder in Hugging Face's layout.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, LlavaForConditionalGeneration, PreTrainedModel
from transformers.models.bert import BertModel

from infra.runs import TrainRun
from infra.weights import weights_folder
from models.canvas import write_canvas
from models.collate import ConversationCollator, PairCollator, PromptKind
from models.data import ExampleShards
from models.diffusion_stages import prepare_autoencode, prepare_diffuse, prepare_guide
from models.dual_encoder import DUAL_ENCODER_TYPE, CxrDualEncoder, dual_encoder_config
from models.packing import attend_within_examples
from models.prepared import Prepared as Prepared
from models.prepared import ReadTexts
from models.processor import save_image_processor, save_vlm_processor
from models.projector import projector_of
from models.prompts import conversation_prompt
from models.quantized import load_vlm_nf4, merge_adapter
from models.text_only import words_of_films
from models.tokenizers import (
    Tokenizer,
    load_tokenizer,
    save_tokenizer,
    train_language_tokenizer,
    train_text_tokenizer,
    with_image_token,
)
from models.towers import TOWERS, load_published_tower, tower_config, train_tower
from models.vlm import assemble, language_config, load_vlm, with_lora
from models.weights import (
    cast_parameters,
    frozen_type,
    has_input_of_type,
    input_of_type,
    language_folder,
)
from models.whole import load_whole


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
        case "autoencode":
            return prepare_autoencode(run)
        case "diffuse":
            return prepare_diffuse(run)
        case "guide":
            return prepare_guide(run)


def _prepare_language(run: TrainRun, read_texts: ReadTexts) -> Prepared:
    shapes, samples = run.models.language, list(read_texts())
    texts = (f"{conversation_prompt(sample.turns, '')} {sample.target}" for sample in samples)
    tokenizer = train_language_tokenizer(texts, shapes)
    model = AutoModelForCausalLM.from_config(language_config(shapes, tokenizer))
    # Vicuna has seen conversations and running text; so does its stand-in.
    collate = _conversations(run, model, tokenizer, ("turns", "image-only"), image_tokens=0)
    held_out = ExampleShards(run.validate_examples, None) if run.validate_examples else ()
    collate = replace(collate, known=words_of_films([*samples, *held_out]))

    def save(folder: Path) -> None:
        model.save_pretrained(folder)
        save_tokenizer(tokenizer, folder)

    return Prepared(model, collate, save, with_pixels=False)


def _prepare_pretrain(run: TrainRun, read_texts: ReadTexts) -> Prepared:
    text, vision = run.models.text_tower, run.models.vision
    if text.weights:
        tokenizer = load_tokenizer(weights_folder(run.weights_root, text.weights))
    else:
        tokenizer = train_text_tokenizer((sample.target for sample in read_texts()), text)
    tower = weights_folder(run.weights_root, vision.weights) if vision.weights else None
    model = CxrDualEncoder(dual_encoder_config(run.models, len(tokenizer), tower))
    if text.weights:
        published = load_whole(BertModel, weights_folder(run.weights_root, text.weights))
        model.text_model.load_state_dict(published.state_dict())
    if tower is not None:
        load_published_tower(model.vision_model, vision, tower)
    if "vision" not in run.stage.trainable:
        model.vision_model.requires_grad_(False)
    if "text_encoder" not in run.stage.trainable:
        model.text_model.requires_grad_(False)

    def save(folder: Path) -> None:
        write_canvas(model.config, vision)
        model.save_pretrained(folder)
        save_tokenizer(tokenizer, folder)
        save_image_processor(vision.image_px, folder, vision.fit)

    collate = PairCollator(tokenizer, text.context_tokens, run.stage.negatives)
    return Prepared(model, collate, save)


def _prepare_align(run: TrainRun) -> Prepared:
    vlm, tokenizer = _vlm_of_parts(run)
    vlm.requires_grad_(False)
    projector_of(vlm).requires_grad_(True).float()
    return _prepared_vlm(run, vlm, tokenizer)


def _vlm_of_parts(run: TrainRun) -> tuple[LlavaForConditionalGeneration, Tokenizer]:
    """A VLM with a fresh projector between the stage's vision tower and language model."""
    folder = language_folder(run)
    tokenizer = with_image_token(load_tokenizer(folder))
    language = load_whole(AutoModelForCausalLM, folder, dtype=frozen_type(run))
    return assemble(run.models, _vision_tower(run), language, tokenizer), tokenizer


def _vision_tower(run: TrainRun) -> PreTrainedModel:
    """The tower of the dual encoder that the stage starts from; without one the tower as
    pretraining would have found it: with published weights, or with random ones."""
    if has_input_of_type(run, DUAL_ENCODER_TYPE):
        dual: CxrDualEncoder = load_whole(CxrDualEncoder, input_of_type(run, DUAL_ENCODER_TYPE))
        return dual.vision_model
    vision = run.models.vision
    folder = weights_folder(run.weights_root, vision.weights) if vision.weights else None
    tower = TOWERS[vision.architecture].model(tower_config(vision, folder))
    if folder is not None:
        load_published_tower(tower, vision, folder)
    return tower


def _prepare_finetune(run: TrainRun) -> Prepared:
    folder = input_of_type(run, "llava") if has_input_of_type(run, "llava") else None
    if run.stage.lora is not None:
        return _prepare_lora(run, folder)
    vlm, tokenizer = _vlm_to_finetune(run, folder)
    parts = run.stage.trainable
    projector_of(vlm).requires_grad_("projector" in parts)
    _train_vision(run, vlm)
    vlm.model.language_model.requires_grad_("language" in parts)
    vlm.lm_head.requires_grad_("language" in parts)
    trainable_in_float32(vlm)
    return _prepared_vlm(run, vlm, tokenizer)


def _vlm_to_finetune(
    run: TrainRun, folder: Path | None
) -> tuple[LlavaForConditionalGeneration, Tokenizer]:
    """The VLM of an earlier stage's folder; without one a VLM of the stage's parts."""
    if folder is None:
        return _vlm_of_parts(run)
    return load_vlm(folder), load_tokenizer(folder)


def _prepare_lora(run: TrainRun, folder: Path | None) -> Prepared:
    assert run.stage.lora is not None
    parts, in_4_bits = run.stage.trainable, run.stage.quantize == "nf4"
    if in_4_bits:
        folder = input_of_type(run, "llava")  # what is merged in the end is the whole one
        vlm, tokenizer = load_vlm_nf4(folder, frozen_type(run)), load_tokenizer(folder)
    else:
        vlm, tokenizer = _vlm_to_finetune(run, folder)
    adapted = with_lora(vlm, run.stage.lora, with_projector="projector" in parts)
    _train_vision(run, vlm)
    trainable_in_float32(adapted)
    collate = _conversations(run, vlm, tokenizer, _prompts(run), run.models.image_tokens)

    def save(output: Path) -> None:
        adapter = output / "adapter"
        adapted.save_pretrained(str(adapter), safe_serialization=True)
        if in_4_bits:
            assert folder is not None
            merged = merge_adapter(load_vlm(folder), adapter)
        else:
            merged = adapted.merge_and_unload()
        _save_vlm(run, merged, tokenizer, output)

    return Prepared(adapted, collate, save)


def _train_vision(run: TrainRun, vlm: LlavaForConditionalGeneration) -> None:
    """Train the part of the tower that is read, or none of it."""
    tower, vision = vlm.model.vision_tower, run.models.vision
    if "vision" in run.stage.trainable:
        train_tower(tower, vision.architecture, vlm.config.vision_feature_layer)
    else:
        tower.requires_grad_(False)


def _prompts(run: TrainRun) -> tuple[PromptKind, ...]:
    """The form of the stage's prompts; without indication the examples' requests are shorter."""
    return ("image-only",) if run.stage.prompt == "image-only" else ("turns",)


def _prepared_vlm(
    run: TrainRun, vlm: LlavaForConditionalGeneration, tokenizer: Tokenizer
) -> Prepared:
    collate = _conversations(run, vlm, tokenizer, _prompts(run), run.models.image_tokens)
    return Prepared(vlm, collate, lambda folder: _save_vlm(run, vlm, tokenizer, folder))


def _conversations(
    run: TrainRun,
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    prompts: tuple[PromptKind, ...],
    image_tokens: int,
) -> ConversationCollator:
    """How the model's batches are made, and the model made ready to take them."""
    if run.stage.packing:
        attend_within_examples(model)
    context = run.models.language.context_tokens
    stage = run.stage
    return ConversationCollator(
        tokenizer, prompts, image_tokens, context, stage.packing, stage.learn
    )


def trainable_in_float32(model: torch.nn.Module) -> None:
    """Hold every trainable parameter in float32: small updates are lost in bfloat16."""
    for each in model.parameters():
        if each.requires_grad:
            each.data = each.data.float()


def _save_vlm(run: TrainRun, vlm: PreTrainedModel, tokenizer: Tokenizer, folder: Path) -> None:
    """One type for all weights, so that the folder loads without casts.

    The image's token is no text: written, it would stand for an image that nobody gave.
    """
    vlm.generation_config.suppress_tokens = [vlm.config.image_token_id]
    cast_parameters(vlm, frozen_type(run))
    write_canvas(vlm.config, run.models.vision)
    vlm.save_pretrained(folder)
    save_vlm_processor(run.models, tokenizer, folder)
