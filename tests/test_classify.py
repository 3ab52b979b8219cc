"""The classifier of findings: it learns sides, equal seeds give equal weights, the best is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from infra.errors import InputError
from models.classify import Labelled, classify, fit, masked_loss, read_labelled, varied
from models.films import all_films
from models.finding_classifier import FindingClassifier, load_classifier
from sources.film import LABEL_SCHEMA
from tests.films_world import TARGETS, drawn_shard, labelled_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("classify")
    assert classify(labelled_run(root)) == 0
    return root


def test_it_learns_which_side_a_square_is_on(trained: Path) -> None:
    model = load_classifier(trained / "classifier")
    assert model.targets == TARGETS
    ids, films = all_films([drawn_shard(trained / "drawn.parquet", 20)], 32)
    with torch.inference_mode():
        told = model.probabilities(films)
    left = torch.tensor([int(name[1:]) % 2 == 1 for name in ids])
    assert ((told[:, 0] > told[:, 1]) == left).float().mean() >= 0.9


def test_the_result_tells_the_best_step(trained: Path) -> None:
    result = json.loads((trained / "classifier" / "result.json").read_text())
    losses = {int(step): loss for step, loss in result["validate_losses"].items()}
    assert sorted(losses) == [20, 40, 60]
    assert result["validate_loss"] == losses[result["best_step"]] == min(losses.values())
    assert result["films"] == 40


def test_equal_seeds_give_equal_weights(tmp_path: Path) -> None:
    states = []
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        run = labelled_run(tmp_path, steps=4, seed=seed, output=tmp_path / name)
        classify(run)
        states.append(load_file(tmp_path / name / "model.safetensors"))
    one, two, three = states
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], three[name]) for name in one)


def test_a_step_that_is_worse_on_validate_is_not_kept(tmp_path: Path) -> None:
    """Validate films whose labels are turned about: each step of learning is a step away."""
    run = labelled_run(tmp_path, steps=40, validate_steps=1)
    train, validate = read_labelled(run)
    turned = Labelled(validate.films, 1 - validate.targets)
    _, losses, best = fit(run, train, turned, torch.device("cpu"))
    assert best < 40
    assert losses[best] < losses[40]


def test_the_loss_is_over_what_is_known() -> None:
    logits = torch.tensor([[0.3, -2.0], [1.0, 0.5]])
    targets = torch.tensor([[1.0, float("nan")], [0.0, 1.0]])
    known = functional.binary_cross_entropy_with_logits(
        torch.tensor([0.3, 1.0, 0.5]), torch.tensor([1.0, 0.0, 1.0])
    )
    assert masked_loss(logits, targets) == pytest.approx(float(known))
    assert masked_loss(logits, torch.full((2, 2), float("nan"))) == 0.0


def test_films_are_varied_but_never_mirrored() -> None:
    """A bright column on the left stays left of the middle."""
    levels = -torch.ones(8, 32, 32)
    levels[:, :, 6:9] = 1.0
    found = varied(levels, torch.Generator().manual_seed(0))
    assert found.shape == levels.shape
    assert not torch.equal(found, levels)
    brightest = found.mean(dim=1).argmax(dim=1)
    assert ((brightest >= 2) & (brightest <= 13)).all()


def test_films_without_labels_are_refused(tmp_path: Path) -> None:
    run = labelled_run(tmp_path)
    table = pq.read_table(run.labels)
    pq.write_table(table.slice(1), run.labels)
    with pytest.raises(InputError, match="1 of 40 films without labels"):
        read_labelled(run)
    one_target = [[1.0]] * table.num_rows
    other = pa.table({"film_id": table["film_id"], "targets": one_target}, schema=LABEL_SCHEMA)
    pq.write_table(other, run.labels)
    with pytest.raises(InputError, match=r"labels, of \[1\] targets"):
        read_labelled(run)


def test_a_doubted_label_is_no_number(tmp_path: Path) -> None:
    run = labelled_run(tmp_path)
    rows = pq.read_table(run.labels).to_pylist()
    rows[0]["targets"] = [None, 1.0]
    pq.write_table(pa.Table.from_pylist(rows, schema=LABEL_SCHEMA), run.labels)
    train, _ = read_labelled(run)
    assert torch.isnan(train.targets[0, 0])
    assert train.targets[0, 1] == 1.0


def test_what_is_no_classifier(tmp_path: Path, trained: Path) -> None:
    with pytest.raises(InputError, match="holds no finding classifier"):
        load_classifier(tmp_path)
    told = json.loads((trained / "classifier" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**told, "width": 16}))
    weights = (trained / "classifier" / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(InputError, match="holds no finding classifier"):
        load_classifier(tmp_path)


def test_places_of_a_film_are_told_apart() -> None:
    """The head reads the whole grid: a network that pooled first could not tell sides."""
    torch.manual_seed(0)
    model = FindingClassifier(TARGETS, 32, 8)
    film = torch.rand(1, 32, 32)
    assert not torch.allclose(model(film), model(film.flip(-1)))
