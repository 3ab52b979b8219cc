"""What is searched beside the artifacts, what cannot be, and what the command prints of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.cli_forget import collected_text, forgotten_text
from infra.settings.environment import load_environment
from infra.store import Store
from tasks.forget.dossier import Dossier
from tasks.forget.elsewhere import left_work, remove_files, remove_work
from tasks.forget.needles import Needles
from tasks.forget.outside import Outside, find_outside
from tasks.forget.proof import Proof, search_everywhere
from tasks.forget.work import Forgotten
from tasks.retention.collect import Collected, Collection

NOTHING: frozenset[str] = frozenset()
NEEDLES = Needles(frozenset({"50414267"}), NOTHING, NOTHING, frozenset(), NOTHING)


@pytest.fixture(autouse=True)
def no_prefect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "CXR_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "data"), tmp_path / "data" / ".state")


def test_the_embedded_stores_lie_in_the_state_folder(store: Store) -> None:
    (store.state / "mlflow").mkdir()
    found = find_outside(load_environment(data_root=store.root))
    assert found == Outside((store.state,), ())


def test_stores_that_lie_elsewhere_are_searched_too(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / "registry", tmp_path / "prefect"]
    for place in places:
        place.mkdir()
    monkeypatch.setenv("PREFECT_HOME", str(places[1]))
    environment = load_environment(
        data_root=store.root, mlflow_uri=f"sqlite:///{places[0] / 'mlflow.db'}"
    )
    assert find_outside(environment).folders == (store.state, *places)


def test_servers_are_named_as_not_searched(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    found = find_outside(load_environment(data_root=store.root, mlflow_uri="http://127.0.0.1:5000"))
    assert [place.partition("'")[0] for place in found.unsearched] == ["MLflow", "Prefect"]


def test_unfinished_stages_go_only_if_they_read_the_subject(store: Store) -> None:
    for name, told in (
        ("align-1", '{"train_examples": ["examples/reports-7/p/train-000.parquet"]}'),
        ("finetune-2", '{"inputs": {"align": "stages/align-9/model"}}'),
        ("pretrain-3", '{"train_examples": ["examples/other-8/p/train-000.parquet"]}'),
        ("guide-4", "{}"),
    ):
        (store.state / "stages" / name / "checkpoints").mkdir(parents=True)
        (store.state / "stages" / name / "run.json").write_text(told)
    (store.state / "predictions" / "x").mkdir(parents=True)
    dossier = Dossier("mimic_cxr", "1", examples={"examples/reports-7"})
    dossier.learned = {"stages/align-9": "monday", "stages/guide-4": "monday"}
    doomed = {path.relative_to(store.state).as_posix() for path in left_work(store, dossier)}
    assert doomed == {
        *("predictions", "metric-cache", "stages/align-1", "stages/finetune-2", "stages/guide-4")
    }
    remove_work(left_work(store, dossier), dry_run=True)
    assert (store.state / "predictions").is_dir()
    assert remove_work(left_work(store, dossier), dry_run=False) == 3
    assert [path.name for path in (store.state / "stages").iterdir()] == ["pretrain-3"]


def test_files_that_speak_of_them_go_with_folders_of_their_name(store: Store) -> None:
    named = store.state / "odd" / "s50414267"
    named.mkdir(parents=True)
    (named / "film.txt").write_text("nothing")
    (store.state / "note.txt").write_text("study 50414267")
    (store.state / "other.txt").write_text("study 50414268")
    places = Outside((store.state,), ())
    assert remove_files(store, places, NEEDLES, set(), [], dry_run=True) == 2
    assert remove_files(store, places, NEEDLES, set(), [], dry_run=False) == 2
    left = sorted(p.relative_to(store.state).as_posix() for p in store.state.rglob("*"))
    assert left == ["odd", "other.txt"]


def test_the_search_names_what_is_left_but_never_an_id(store: Store, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "s50414267").mkdir()
    (data / "s50414267" / "empty").write_text("")
    (data / "kind").mkdir()
    (data / "kind" / "rows.txt").write_text("50414267")
    (data / ".state" / "forget").mkdir()
    (data / ".state" / "forget" / "dossier.json").write_text("50414267")
    dossier = Dossier("mimic_cxr", "1", studies={"50414267"})
    proof = search_everywhere(store, Outside((store.state,), ()), dossier, NEEDLES)
    assert not proof.is_clean
    assert len(proof.left) == 3
    assert "id in kind/rows.txt" in proof.left
    assert not any("50414267" in place for place in proof.left)


def done(**changes: object) -> Forgotten:
    told: dict[str, object] = {
        "studies": 2,
        "images": 3,
        "removed": {"pieces of studies": 1},
        "stages": {"stages/align-1": "learned from it"},
        "versions": {"m/4": ("champion",)},
        "raw": (),
        "sent": (),
        "short_ids": 0,
        "proof": Proof(9, 5_000_000),
    }
    return Forgotten(**{**told, **changes})  # type: ignore[arg-type]


def test_what_was_done_is_printed_with_models_and_proof() -> None:
    text = forgotten_text(done(), retire=False)
    assert "2 studies and 3 images are forgotten" in text
    assert "stages/align-1: learned from it" in text
    assert "models:/m/4 (@champion)" in text
    assert "searched 9 files of 5.0 MB: none of them tell of the subject" in text
    assert "train anew with --retire" in text
    assert "the next run trains anew" in forgotten_text(done(), retire=True)


def test_what_is_not_ours_is_named() -> None:
    raw = tuple(f"/raw/film-{number}.jpg" for number in range(25))
    text = forgotten_text(done(raw=raw, sent=("batch_1",), short_ids=4), retire=False)
    assert text.count("/raw/film-") == 20
    assert "and 5 more: see --json" in text
    assert "batch batch_1 at the language model's server" in text
    assert "4 short ids were looked for in tables alone" in text


def test_what_was_not_searched_and_what_is_left_is_told() -> None:
    proof = Proof(9, 1, ["id in a/b"], ("Prefect's database",))
    text = forgotten_text(done(proof=proof, stages={}), retire=False)
    assert "not searched: Prefect's database" in text
    assert "1 of them tell of the subject" in text
    assert "left: id in a/b" in text
    assert "no trained stage learned from the subject" in text
    assert "would be forgotten; nothing was changed" in forgotten_text(
        done(proof=None), retire=False
    )


def test_a_collection_is_told_with_sizes_and_reasons() -> None:
    gone = (Collected("stages/a-1", 2_500_000, "nothing needs it", part=True),)
    text = collected_text(Collection(gone, {"models:/m/1": 7}), dry_run=True)
    assert "2.5 MB  stages/a-1 in part  nothing needs it" in text
    assert "7 artifacts stay for models:/m/1" in text
    assert "1 folders of 2.5 MB would be removed; nothing was changed" in text
