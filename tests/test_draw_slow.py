"""MedXChat in miniature from raw data to two registered models, as a user runs it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from draw_ability_world import SIDE_PX, run_whole
from mlflow import MlflowClient
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("medxchat") / "data"


@pytest.fixture(scope="module")
def told(root: Path) -> Any:
    return run_whole(root, 'readings=["coherence"]')


def test_both_models_are_scored_and_registered(told: Any) -> None:
    films = told["scores"]["draw"]
    assert films["kind"] == "draw"
    assert films["sources"].keys() == {"mimic_cxr"}
    assert told["scores"]["report"]["studies"] > 0
    metrics = {(row["metric"], row["control"]) for row in films["scores"]}
    assert ("MS-SSIM-of-pairs", "none") in metrics
    assert ("prompted-side-accuracy", "untrained") in metrics
    assert told["coherence"]["requests"] > 0
    places = told["places"]
    assert places["registered model of report"] == "models:/llava_rad/1"
    assert places["registered model of draw"] == "models:/toy-draw/1"
    assert Path(places["coherence page"]).is_file()


def test_mlflow_has_the_contact_sheet_of_the_replica_and_no_report(told: Any, root: Path) -> None:
    client = mlflow_client(root)
    runs = [
        run
        for experiment in client.search_experiments()
        for run in client.search_runs([experiment.experiment_id])
    ]
    [films] = [run for run in runs if run.info.run_name == "films of draw"]
    assert "none/prompted-side-accuracy" in films.data.metrics
    names = [item.path for item in client.list_artifacts(films.info.run_id, "overlays")]
    assert names == ["overlays/contact-sheet.png"]
    assert told["scores"]["draw"]["prompts"] > 0


def test_the_registered_model_draws(told: Any, root: Path) -> None:
    del told
    mlflow.set_tracking_uri(uri_of(root))
    model = mlflow.pyfunc.load_model("models:/toy-draw@candidate")
    film = model.predict(pd.DataFrame({"prompt": ["There is a left pleural effusion."]}))
    with Image.open(io.BytesIO(film["film"].iloc[0])) as picture:
        assert picture.size == (SIDE_PX, SIDE_PX)


def test_a_second_run_builds_nothing_and_says_the_same(told: Any, root: Path) -> None:
    again = run_whole(root, 'readings=["coherence"]')
    assert again["scores"] == told["scores"]
    assert all(step["built"] == 0 for step in again["steps"])


def uri_of(root: Path) -> str:
    return f"sqlite:///{root / '.state' / 'mlflow' / 'mlflow.db'}"


def mlflow_client(root: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=uri_of(root), registry_uri=uri_of(root))
