"""What frozen parts read of examples, kept: as if read anew, in any batch, and only what fits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusion_world import drawing_run, drawing_stage
from test_models_train import losses
from torch import nn

from infra.runs import TrainRun
from models import frozen_readings
from models.diffusion_networks import LatentDiffusion
from models.diffusion_stages import prepare_diffuse, prepare_guide
from models.frozen_readings import FrozenReadings, read_all
from models.packing import Batch
from models.prompt_states import PromptTokens
from models.train import stage_training, train

LIMIT, WIDTH = 4, 3


def example(key: int, pieces: int) -> Batch:
    """A film of 2 x 2 px that is the key everywhere, and so many pieces, all the key's own."""
    ids = key * 10 + torch.arange(pieces)[:, None].expand(-1, LIMIT)
    films = torch.full((1, 2, 2), key, dtype=torch.uint8)
    mask = torch.ones(1, pieces, LIMIT, dtype=torch.long)
    return {"films": films, "keys": torch.tensor([key]), "input_ids": ids[None]} | {
        "attention_mask": mask
    }


def read(batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Stands for the frozen parts: a latent is the film's value, a state its token."""
    states = batch["input_ids"].flatten(0, 1)[:, :, None].expand(-1, -1, WIDTH).float()
    return batch["films"].float().unsqueeze(1), states


def tokens(pieces: int, of: int) -> PromptTokens:
    return PromptTokens(*(torch.zeros(of, pieces, LIMIT, dtype=torch.long) for _ in range(2)))


PIECES = [1, 3, 2] * 50
"""More examples than are read at once."""


@pytest.fixture
def kept() -> FrozenReadings:
    found = read_all((example(key, many) for key, many in enumerate(PIECES)), read)
    assert found is not None
    return found


@pytest.mark.parametrize("pieces", [1, 2, 3, 4, 7])
def test_a_prompt_of_fewer_pieces_has_its_own_ones_again(kept: FrozenReadings, pieces: int) -> None:
    keys = torch.tensor([140, 1, 2, 0])
    found = kept.of(keys, tokens(pieces, 4))
    assert found is not None
    latents, states = found
    assert latents[:, 0, 0, 0].tolist() == [140, 1, 2, 0]
    assert states is not None
    assert states.shape == (4, pieces * LIMIT, WIDTH)
    wanted = [[key * 10 + place % PIECES[key] for place in range(pieces)] for key in keys.tolist()]
    assert states[:, ::LIMIT, 0].tolist() == wanted


def test_what_was_not_read_is_not_made_up(kept: FrozenReadings) -> None:
    assert kept.of(torch.tensor([1, 150]), tokens(1, 2)) is None


def test_more_than_fits_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def examples() -> object:
        for key in range(1000):
            asked.append(key)
            yield example(key, 1)

    monkeypatch.setattr(frozen_readings, "MOST_BYTES", 64 * (LIMIT * WIDTH + 4) * 4 + 1)
    assert read_all(examples(), read) is None  # type: ignore[arg-type]
    assert len(asked) <= 2 * 64, "it stops where it is too much"


def test_two_prompts_of_one_film_are_read_anew() -> None:
    """An example of two sets: its key does not tell which of both prompts is asked for."""
    assert read_all(iter([example(3, 1), example(4, 1), example(3, 2)]), read) is None


def guide_run(root: Path, **changes: object) -> TrainRun:
    return drawing_run(root, drawing_stage("guide", **changes))


@pytest.mark.parametrize(
    ("kind", "prepare"), [("diffuse", prepare_diffuse), ("guide", prepare_guide)]
)
def test_a_stage_that_keeps_them_has_the_loss_of_one_that_reads_anew(
    tmp_path: Path, kind: str, prepare: object
) -> None:
    run = drawing_run(tmp_path, drawing_stage(kind))
    prepared = prepare(run)  # type: ignore[operator]
    model = prepared.model
    assert isinstance(model, LatentDiffusion)
    trainer = stage_training(run, prepared).trainer
    rows = [5, 0, 3]
    batch = {name: each for name, each in trainer.data_collator(rows).items() if name != "labels"}
    model.train()
    anew = model(**batch).loss.item()
    model.readings = read_all(
        (trainer.data_collator([row]) for row in trainer.train_dataset), model.read
    )
    assert model.readings is not None
    torch.testing.assert_close(model(**batch).loss.item(), anew, rtol=1e-5, atol=0)
    nn.init.zeros_(next(model.autoencoder.parameters()))  # what is frozen is not asked again
    torch.testing.assert_close(model(**batch).loss.item(), anew, rtol=1e-5, atol=0)
    model.eval()
    assert model(**batch).loss.item() != pytest.approx(anew, rel=1e-5), "validate is read anew"


@pytest.mark.slow
def test_a_trained_stage_has_kept_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all its examples, and its losses are those of a stage that had no room for them."""
    counted: list[int] = []

    def counting(*arguments: object) -> FrozenReadings | None:
        found = read_all(*arguments)  # type: ignore[arg-type]
        counted.append(0 if found is None else len(found.places))
        return found

    monkeypatch.setattr("models.diffusion_trainer.read_all", counting)
    one, other = guide_run(tmp_path / "a"), guide_run(tmp_path / "b")
    assert train(one) == 0
    monkeypatch.setattr(frozen_readings, "MOST_BYTES", 0)
    assert train(other) == 0
    assert counted[0] > 0
    assert counted[1] == 0
    first, second = (losses(run.output) for run in (one, other))
    assert first == pytest.approx(second, rel=1e-3)
    assert len(first) == 4
