"""Tokenizers: trained from report text at ``tiny`` scale, loaded from local folders at ``paper``.

The language model's tokenizer knows one token more than its published vocabulary, ``<image>``,
whose place the projected image features take. Padding is ``<unk>``, as Vicuna's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from tokenizers import Tokenizer as BackendTokenizer
from tokenizers import decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from infra.errors import InputError
from infra.settings.stages import LanguageSettings, TextEncoderSettings
from models.whole import ADVICE, UNREADABLE

Tokenizer: TypeAlias = PreTrainedTokenizerBase

IMAGE_TOKEN = "<image>"
_LANGUAGE_SPECIALS = ["<unk>", "<s>", "</s>"]  # ids 0, 1, 2 as in Llama
_TEXT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def train_language_tokenizer(texts: Iterable[str], language: LanguageSettings) -> Tokenizer:
    """A byte-level BPE of ``language.vocabulary`` tokens with Llama's special tokens."""
    backend = BackendTokenizer(BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=language.vocabulary,
        special_tokens=_LANGUAGE_SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
    )
    trained = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    return with_image_token(trained)


def train_text_tokenizer(texts: Iterable[str], text: TextEncoderSettings) -> Tokenizer:
    """A lower-casing WordPiece with BERT's special tokens.

    The vocabulary is every character seen, alone and continuing a word, and the commonest words up
    to ``text.vocabulary`` tokens. (The library's own WordPiece trainer breaks ties at random, so
    that a resumed stage would meet another vocabulary.)
    """
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    counts = Counter(
        word
        for each in texts
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(each))
    )
    letters = sorted({letter for word in counts for letter in word})
    spelling = letters + [f"##{letter}" for letter in letters]
    commonest = sorted(counts, key=lambda word: (-counts[word], word))
    tokens = dict.fromkeys([*_TEXT_SPECIALS, *spelling, *commonest])
    vocabulary = {token: number for number, token in enumerate(list(tokens)[: text.vocabulary])}
    return BertTokenizer(vocab=vocabulary, model_max_length=text.context_tokens)


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer saved in a model's folder; SentencePiece's own file will do.

    Raises:
        InputError: the folder holds none, or one that cannot be read.
    """
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        raise InputError(
            f"no tokenizer.json or tokenizer.model in {folder}", "a tokenizer", "check the folder"
        )
    if not (folder / "tokenizer.json").is_file():
        _require_sentencepiece_model(folder / "tokenizer.model")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except UNREADABLE as error:
        raise InputError(
            f"a tokenizer in {folder} that cannot be read ({type(error).__name__})",
            "a tokenizer as transformers saves it",
            ADVICE,
        ) from error


def _require_sentencepiece_model(file: Path) -> None:
    """Check that transformers will be able to read it; where not, it asks for another package.

    Raises:
        InputError: sentencepiece is not installed, or the file is none of its models.
    """
    if find_spec("sentencepiece") is None:
        raise InputError(
            f"{file} without a tokenizer.json beside it, and no package sentencepiece",
            "sentencepiece, which reads it",
            "install the packages of requirements.lock",
        )
    from sentencepiece import SentencePieceProcessor

    content, unreadable = file.read_bytes(), None
    try:
        SentencePieceProcessor(model_proto=content)
    except RuntimeError as error:
        unreadable = error
    if unreadable or not content:  # an empty one is read as a model without pieces
        raise InputError(
            f"{file}, which sentencepiece cannot read",
            "a SentencePiece model",
            "download it again and compare its checksum with the publisher's",
        ) from unreadable


def with_image_token(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer with ``<image>`` (added if it is new) and a padding token."""
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the tokenizer as it is, without how the last texts were padded and cut.

    A fast tokenizer remembers that, and writes it: which process read the last batch would show
    in the file.
    """
    if isinstance(tokenizer, PreTrainedTokenizerFast):
        tokenizer.backend_tokenizer.no_padding()
        tokenizer.backend_tokenizer.no_truncation()
    tokenizer.save_pretrained(folder)
