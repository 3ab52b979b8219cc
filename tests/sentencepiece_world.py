"""A folder with a SentencePiece tokenizer as Llama's publisher ships it, of invented text."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from models.prompts import SYSTEM

PIECES = 420
TEXTS = (
    SYSTEM,
    "Describe the findings of the chest X-ray.",
    "The heart is normal in size. The lungs are clear, without effusion or pneumothorax.",
    "Indication: cough for 2 weeks.",
)


def write_llama_tokenizer(folder: Path) -> Path:
    """``tokenizer.model`` alone, with the two configurations that stand beside it; the folder.

    Byte fallback, split digits, a word's mark before the first word and no normalisation are what
    Llama's publisher trained with.
    """
    import sentencepiece

    folder.mkdir(parents=True, exist_ok=True)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20),
        model_writer=model,
        vocab_size=PIECES,
        model_type="bpe",
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    told: dict[str, Any] = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "legacy": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": PIECES}))
    return folder


def llava_prompt_ids(folder: Path, prompt: str, image_id: int, image_tokens: int) -> list[int]:
    """The prompt's ids as LLaVA makes them, from SentencePiece itself.

    LLaVA cuts the text at ``<image>``, tokenizes each side as a text of its own and leaves out the
    second one's beginning-of-text token.
    """
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    before, behind = (model.encode(part) for part in prompt.split("<image>"))
    return [model.bos_id(), *before, *[image_id] * image_tokens, *behind]
