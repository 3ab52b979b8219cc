"""Which weights are here, what is missing, and where it goes; nothing is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from evaluation.encoders import ENCODERS, find_encoders, radgraph_encoder
from infra.settings.sections import EncoderSettings

HOUSE = Path(__file__).resolve().parent.parent
SETTINGS = EncoderSettings()


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


def archive(root: Path, name: str, encoder: str) -> None:
    touch(root, f"{name}/weights.th", f"{name}/vocabulary/non_padded_namespaces.txt")
    bert = {"token_embedders": {"bert": {"model_name": encoder}}}
    (root / name / "config.json").write_text(json.dumps({"model": {"embedder": bert}}))


def test_without_a_weights_root_every_encoder_says_what_it_needs_and_where() -> None:
    found, missing = find_encoders(SETTINGS, None)
    assert found == {}
    assert list(missing) == list(ENCODERS)
    assert missing["CheXbert"] == (
        "needs chexbert.pth in $CXR_WEIGHTS_ROOT/StanfordAIMI/RRG_scorers and "
        "config.json, tokenizer.json in $CXR_WEIGHTS_ROOT/bert-base-uncased"
    )
    assert missing["BERTScore-distilbert"] == (
        "needs config.json, model.safetensors, tokenizer.json in "
        "$CXR_WEIGHTS_ROOT/distilbert-base-uncased"
    )


def test_what_is_told_does_not_depend_on_the_machine(tmp_path: Path) -> None:
    assert find_encoders(SETTINGS, None)[1] == find_encoders(SETTINGS, tmp_path)[1]
    assert str(tmp_path) not in " ".join(find_encoders(SETTINGS, tmp_path)[1].values())


def test_only_what_is_missing_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "bert-base-uncased/config.json", "bert-base-uncased/vocab.txt")
    _, missing = find_encoders(SETTINGS, tmp_path)
    assert missing["CheXbert"] == (
        "needs chexbert.pth in $CXR_WEIGHTS_ROOT/StanfordAIMI/RRG_scorers"
    )
    touch(tmp_path, "StanfordAIMI/RRG_scorers/chexbert.pth")
    found, missing = find_encoders(SETTINGS, tmp_path)
    assert "CheXbert" not in missing
    assert found["CheXbert"].folders["chexbert"] == tmp_path / "StanfordAIMI/RRG_scorers"


def test_an_archive_needs_the_encoder_that_it_names(tmp_path: Path) -> None:
    archive(tmp_path, "StanfordAIMI/RRG_scorers/radgraph", "microsoft/PubMedBERT")
    found, missing = find_encoders(SETTINGS, tmp_path)
    assert missing["RadGraph-v1"] == (
        "needs config.json, tokenizer.json in $CXR_WEIGHTS_ROOT/microsoft/PubMedBERT"
    )
    touch(tmp_path, "microsoft/PubMedBERT/config.json", "microsoft/PubMedBERT/vocab.txt")
    found, _ = find_encoders(SETTINGS, tmp_path)
    assert found["RadGraph-v1"].folders["encoder"] == tmp_path / "microsoft/PubMedBERT"
    assert "RadGraph-xl" not in found


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": 3}', "not json"])
def test_an_archive_that_names_no_encoder(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert radgraph_encoder(tmp_path) is None
    assert radgraph_encoder(tmp_path / "absent") is None


def test_an_absolute_folder_needs_no_weights_root(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere/distilbert-base-uncased"
    settings = EncoderSettings(bertscore=str(folder))
    assert find_encoders(settings, None)[1]["BERTScore-distilbert"].endswith(f"in {folder}")
    touch(folder, "config.json", "pytorch_model.bin", "vocab.txt")
    found, _ = find_encoders(settings, None)
    assert found["BERTScore-distilbert"].folders == {"model": folder}


def test_the_digest_follows_the_files_and_not_their_place(tmp_path: Path) -> None:
    names = ("config.json", "model.safetensors", "tokenizer.json")
    digests = []
    for root in (tmp_path / "a", tmp_path / "b"):
        touch(root / "distilbert-base-uncased", *names)
        for name in names:
            os.utime(root / "distilbert-base-uncased" / name, ns=(1, 1))
        digests.append(find_encoders(SETTINGS, root)[0]["BERTScore-distilbert"].digest)
    assert digests[0] == digests[1]
    (tmp_path / "b/distilbert-base-uncased/model.safetensors").write_text("other weights")
    changed = find_encoders(SETTINGS, tmp_path / "b")[0]["BERTScore-distilbert"].digest
    assert changed != digests[0]


def test_a_name_that_promises_a_baseline_must_end_in_its_model() -> None:
    with pytest.raises(ValidationError):
        EncoderSettings(bertscore="roberta-large")
    with pytest.raises(ValidationError):
        EncoderSettings(radcliq_bertscore="distilbert-base-uncased")
    assert EncoderSettings(bertscore="/models/distilbert-base-uncased")


def test_planning_and_showing_scores_import_no_torch() -> None:
    code = (
        "import sys, evaluation.encoders, evaluation.scores, evaluation.neural_table\n"
        "import tasks.score.work\n"
        "sys.exit(', '.join({'torch', 'transformers'} & set(sys.modules)) or None)"
    )
    outcome = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HOUSE)},
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
