"""The child process on all six encoders: one table, digests of the weights, errors in one line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from neural_world import chexbert_state, write_all, write_chexbert

from evaluation.encoded import Encoded
from evaluation.encoders import ENCODERS
from evaluation.lexical import rexrank_bleu2
from evaluation.neural.chexbert import load_chexbert
from evaluation.neural.radgraph import load_radgraph
from evaluation.neural.readings import run_encoders
from evaluation.neural_table import NEURAL_SCHEMA, read_encoded
from evaluation.radcliq import radcliq
from evaluation.radgraph import radgraph_f1, yu_f1
from infra.errors import InputError
from infra.launch import Event, run_module
from infra.runs import NeuralRun, read_run, write_run
from infra.settings.sections import EncoderSettings

ROWS = [
    ("e1", "none", "The heart is normal. The lungs are clear.", "The lungs are clear."),
    ("e2", "none", "Small left pleural effusion.", "Small right effusion, no edema."),
    ("e3", "none", "no edema", ""),
    ("e4", "none", "Small left pleural effusion.", "Small left pleural effusion."),
    ("e1", "blank", "The heart is normal. The lungs are clear.", "no edema"),
    ("e2", "blank", "Small left pleural effusion.", "no edema"),
]
PREDICTIONS = pa.table(
    {
        name: [row[place] for row in ROWS]
        for place, name in enumerate(("example_id", "control", "reference", "prediction"))
    }
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("weights"))


def prepared(folder: Path, root: Path | None, *encoders: str, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(PREDICTIONS, folder / "predictions.parquet")
    run = NeuralRun(
        predictions=(folder / "predictions.parquet",),
        encoders=encoders,
        folders=changes.pop("folders", EncoderSettings()),
        weights_root=root,
        output=folder / "out",
        batch_size=2,
        device="cpu",
    )
    write_run(run, folder / "run.json")
    return folder / "run.json"


def run_here(path: Path) -> None:
    run_encoders(read_run(NeuralRun, path), lambda name, done, total: None)


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    folder = tmp_path_factory.mktemp("run")
    events: list[Event] = []
    run_module("evaluation.neural", prepared(folder, root, *ENCODERS), events.append)
    return folder / "out", events


@pytest.fixture(scope="module")
def rows(finished: tuple[Path, list[Event]]) -> list[dict[str, Any]]:
    table = pq.read_table(finished[0] / "neural.parquet")
    assert table.schema.names == NEURAL_SCHEMA.names
    return table.to_pylist()


def test_each_pair_has_a_row_of_numbers_and_no_text(rows: list[dict[str, Any]]) -> None:
    assert [(row["example_id"], row["control"]) for row in rows] == [row[:2] for row in ROWS]
    for row in rows:
        assert all(value is not None for value in row.values())
        assert [len(row[f"chexbert_{side}"]) for side in ("reference", "prediction")] == [14, 14]
    texts = {text for row in ROWS for text in row[2:] if text}
    told = json.dumps(rows)
    assert not [text for text in texts if text in told]


def test_the_parent_hears_of_each_encoder(finished: tuple[Path, list[Event]]) -> None:
    progress = [event for event in finished[1] if event["event"] == "progress"]
    assert [event["encoder"] for event in progress] == list(ENCODERS)
    assert finished[1][-1]["event"] == "done"


def test_numbers_are_those_of_the_networks_alone(rows: list[dict[str, Any]], root: Path) -> None:
    cpu = torch.device("cpu")
    scorers = root / "StanfordAIMI/RRG_scorers"
    labeler = load_chexbert(scorers / "chexbert.pth", root / "bert-base-uncased", cpu)
    codes = labeler.read([ROWS[1][2], ROWS[1][3]], 1).labels.codes
    assert rows[1]["chexbert_reference"] == codes[0].tolist()
    assert rows[1]["chexbert_prediction"] == codes[1].tolist()
    for name, kind, base in (
        ("radgraph", "v1", "microsoft/PubMedBERT"),
        ("radgraph-xl", "xl", "microsoft/CXR-BERT"),
    ):
        model = load_radgraph(scorers / name, root / base, kind, cpu)  # type: ignore[arg-type]
        pair = model.read(ROWS[1][2]), model.read(ROWS[1][3])
        assert rows[1][f"radgraph_{kind}_partial"] == pytest.approx(radgraph_f1(*pair, "partial"))
        assert rows[1][f"radgraph_{kind}_yu"] == pytest.approx(yu_f1(*pair))


def test_an_identical_pair_is_perfect_and_an_empty_prediction_worst(
    rows: list[dict[str, Any]],
) -> None:
    same, empty = rows[3], rows[2]
    assert same["semb_score"] == pytest.approx(1, abs=1e-6)
    assert same["bertscore"] == pytest.approx(1, abs=1e-4)
    assert same["radcliq_bertscore"] == pytest.approx(1, abs=1e-4)
    assert same["chexbert_reference"] == same["chexbert_prediction"]
    for name in ("semb_score", "bertscore", "radcliq_bertscore", "ratescore"):
        assert empty[name] == 0, name
    assert not any(empty["chexbert_prediction"])
    assert {empty[f"radgraph_v1_{level}"] for level in ("partial", "yu")} == {0}


def test_each_encoder_tells_the_digest_of_its_weights(
    finished: tuple[Path, list[Event]], root: Path
) -> None:
    about = json.loads((finished[0] / "neural.json").read_text())
    assert set(about) == set(ENCODERS)
    scorers = root / "StanfordAIMI/RRG_scorers"
    for name, path in (
        ("CheXbert", scorers / "chexbert.pth"),
        ("RadGraph-v1", scorers / "radgraph/weights.th"),
        ("RadGraph-xl", scorers / "radgraph-xl/weights.th"),
        ("BERTScore-distilbert", root / "distilbert-base-uncased/model.safetensors"),
    ):
        assert about[name]["weights"] == hashlib.sha256(path.read_bytes()).hexdigest(), name
    assert len(about["RaTEScore"]["weights"].split()) == 2


def test_counts_by_system_and_radcliq_from_its_parts(
    finished: tuple[Path, list[Event]], rows: list[dict[str, Any]]
) -> None:
    encoded = read_encoded(finished[0], PREDICTIONS, {}, None)
    assert {name: list(one.example_ids) for name, one in encoded.systems.items()} == {
        "none": ["e1", "e2", "e3", "e4"],
        "blank": ["e1", "e2"],
    }
    own = encoded.systems["none"].families
    assert own["chexbert-negative"].shape == own["chexbert-positive"].shape == (4, 42)
    np.testing.assert_array_equal(own["ratescore"][:, 1], 1)
    names = ("radgraph_v1_yu", "radcliq_bertscore", "semb_score")
    bleu = rexrank_bleu2([row[2] for row in ROWS[:4]], [row[3] for row in ROWS[:4]])
    parts = np.array([[row[name] for name in names] for row in rows[:4]])
    expected = radcliq(np.concatenate([parts, bleu[:, None]], axis=1), "v1")
    np.testing.assert_allclose(own["radcliq_v1"][:, 0], expected)
    assert expected[3] < expected[0], "the identical pair has fewer errors"
    assert own["radcliq_v1"][2, 0] == pytest.approx(2.450, abs=1e-3), "an empty prediction"


def test_a_table_of_other_predictions_is_refused(finished: tuple[Path, list[Event]]) -> None:
    with pytest.raises(InputError, match=r"found neural.parquet of other predictions"):
        read_encoded(finished[0], PREDICTIONS.slice(1), {}, None)


def test_fewer_encoders_leave_the_other_columns_empty(root: Path, tmp_path: Path) -> None:
    run_here(prepared(tmp_path, root, "BERTScore-distilbert"))
    table = pq.read_table(tmp_path / "out/neural.parquet")
    assert table["bertscore"].null_count == 0
    assert table["semb_score"].null_count == len(ROWS)
    encoded = read_encoded(tmp_path / "out", PREDICTIONS, {"CheXbert": "why"}, None)
    assert set(encoded.systems["none"].families) == {"bertscore"}
    assert isinstance(encoded, Encoded)


def test_another_checkpoint_ends_the_child_with_one_line(root: Path, tmp_path: Path) -> None:
    state = chexbert_state()
    del state["module.linear_heads.5.bias"]
    write_chexbert(tmp_path / "wrong/chexbert.pth", state)
    folders = EncoderSettings(chexbert=str(tmp_path / "wrong"))
    path = prepared(tmp_path, root, "CheXbert", folders=folders)
    with pytest.raises(InputError) as caught:
        run_module("evaluation.neural", path, lambda event: None)
    assert str(caught.value) == (
        "found chexbert.pth with 1 tensors missing (first linear_heads.5.bias); expected all 67 "
        "tensors of its network; put the published file there, or name the right folder in "
        "[score.encoders]"
    )
    assert not (tmp_path / "out").exists()


def test_absent_weights_and_unknown_encoders_are_one_line(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"encoder 'RaTEScore': needs config.json, model.safe"):
        run_here(prepared(tmp_path, None, "RaTEScore"))
    with pytest.raises(InputError, match=r"encoder 'GREEN': no encoder of that name"):
        run_here(prepared(tmp_path, root, "GREEN"))
