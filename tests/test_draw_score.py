"""An ability that draws, as units of work: films, their judge, their scores and their page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draw_ability_world import COUNTS, SAID, drawn_context, put_world
from PIL import Image

from evaluation.contact_sheet import SIDE_PX
from evaluation.film_targets import TARGETS
from infra.artifact import Artifact
from infra.errors import InputError, SettingsError
from infra.parent import ignore_event
from sources.drawing import AGAIN, DRAWN_FILM_SCHEMA, UNTRAINED
from tasks.chat import chat_run
from tasks.compare.scored import find_scored
from tasks.context import Context
from tasks.draw.classifier import build_classifier
from tasks.draw.films import TRAINED, chosen_rows, draw_films
from tasks.draw.outcome import films_text
from tasks.draw.page import SHEET_FILE, SHOWN, asked_for, may_be_shown
from tasks.draw.score import EXAMPLES_FILE, REPORTS_FILE, score_films
from tasks.leaderboard.work import leaderboard
from tasks.monitor.trace import trace_study
from tasks.predict.work import PREDICTIONS_FILE
from tasks.score.work import PAGE_FILE, SCORES_FILE, scores_of, unavailable_of

TESTS = COUNTS["test"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """Films drawn and a classifier trained."""
    made = world(tmp_path_factory.mktemp("drawn"))
    draw_films(made, ignore_event)
    build_classifier(made, ignore_event)
    return made


def world(root: Path, counts: dict[str, int] | None = None) -> Context:
    made = drawn_context(root).doing("draw")
    put_world(made, counts)
    return made


def films(context: Context) -> pa.Table:
    artifact = context.artifact("predictions/draw")
    return pa.concat_tables([pq.read_table(path) for path in artifact.files(PREDICTIONS_FILE)])


def document(artifact: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(artifact.files(SCORES_FILE)[0].read_text())
    return found


def test_each_prompt_has_a_film_of_both_models_and_some_have_more(context: Context) -> None:
    table = films(context)
    assert table.schema.equals(DRAWN_FILM_SCHEMA)
    rows = table.to_pylist()
    controls = [row["control"] for row in rows]
    asked = context.asked.films
    assert controls.count(TRAINED) == controls.count(UNTRAINED) == TESTS
    assert controls.count(AGAIN) == asked.repeated * (asked.films - 1)
    assert len({row["film_id"] for row in rows}) == len(rows)
    by_prompt: dict[str, dict[str, Any]] = {}
    for row in rows:
        by_prompt.setdefault(row["prompt_id"], {})[row["control"]] = row
    for own in by_prompt.values():
        assert own[TRAINED]["seed"] == own[UNTRAINED]["seed"], "the same noise"
        assert own[TRAINED]["pixels"] != own[UNTRAINED]["pixels"]
        assert (
            own[TRAINED]["prompt"]
            == f"PA view of the chest was obtained. {own[TRAINED]['reference']}"
        )


def test_prompts_are_chosen_by_a_seed(context: Context) -> None:
    every = [row["example_id"] for row in chosen_rows(context)]
    assert len(every) == TESTS and every != sorted(every)
    assert {row["reference"] for row in films(context).to_pylist()} == set(SAID)


def test_the_films_are_drawn_once(context: Context) -> None:
    assert draw_films(context, ignore_event).cached
    assert build_classifier(context, ignore_event).cached


def test_every_number_stands_beside_controls_and_real_films(context: Context) -> None:
    artifact = score_films(context, ignore_event)
    found = document(artifact)
    assert (found["kind"], found["prompts"], found["subjects"]) == ("draw", TESTS, TESTS // 2)
    rows = {(row["metric"], row["control"]): row for row in found["scores"]}
    for metric in ("prompted-finding-AUROC-macro", "prompted-side-accuracy"):
        assert {(metric, name) for name in ("none", "untrained", "shuffled")} <= rows.keys()
        own = rows[metric, "none"]
        assert own["low"] <= own["value"] <= own["high"]
        assert own["real_films"]["value"] is not None
        assert own["signature"]["unit"] == "subject"
        assert own["signature"]["subjects"] == TESTS // 2
    for metric in ("MS-SSIM-of-pairs", "rule14-of-drawn-F1-micro", "kernel-distance[in-house]"):
        assert rows[metric, "none"]["signature"]["metric"] == metric
    assert rows["Frechet-relative[finding-classifier]", "none"]["value"] is not None
    for extractor in ("in-house", "finding-classifier"):
        assert any(
            note.startswith(f"Frechet[{extractor}]: drawn films are ") for note in found["notes"]
        )
    assert {"Cardiomegaly", "Pleural Effusion", "Edema"} <= found["findings"].keys()
    assert "Fracture" in found["without_support"]
    assert "needs" in found["unavailable"]["Frechet[rad-dino]"]
    assert "prompts of PA films alone" in found["unavailable"]["prompted-view-accuracy"]
    assert all(text not in json.dumps(found) for text in SAID)


def test_what_was_read_and_written_of_each_film_is_kept(context: Context) -> None:
    artifact = score_films(context, ignore_event)
    assert artifact.cached
    read = pq.read_table(artifact.files(EXAMPLES_FILE)[0])
    assert (
        read["control"].to_pylist() == ["none"] * TESTS + ["untrained"] * TESTS + ["real"] * TESTS
    )
    assert {len(row) for row in read["probabilities"].to_pylist()} == {len(TARGETS)}
    written = pq.read_table(artifact.files(REPORTS_FILE)[0])
    assert written["control"].to_pylist() == ["none"] * TESTS + ["real"] * TESTS
    assert set(written["reference"].to_pylist()) == set(SAID)


def test_numbers_go_to_the_registry_by_control(context: Context) -> None:
    score_films(context, ignore_event)
    tracked = scores_of(context)
    assert {
        "none/prompted-side-accuracy",
        "shuffled/prompted-finding-AUROC-macro",
    } <= tracked.keys()
    assert set(unavailable_of(context)) >= {"Frechet[rad-dino]", "Frechet[xrv-densenet121]"}


def test_the_page_shows_real_drawn_and_untrained_films_of_a_replica(context: Context) -> None:
    artifact = score_films(context, ignore_event)
    page = artifact.files(PAGE_FILE)[0].read_text()
    assert page.count("data:image/png;base64,") == 3 * SHOWN
    assert "Pleural Effusion, left" in page
    assert "synthetic replica" in page
    assert all(text not in page for text in SAID), "findings are named, reports are not quoted"
    assert artifact.pieces[0].facts["pictures"] == [SHEET_FILE]
    with Image.open(artifact.files(SHEET_FILE)[0]) as sheet:
        assert sheet.width > 3 * SIDE_PX


def test_a_person_is_told_what_the_films_reach(context: Context) -> None:
    score_films(context, ignore_event)
    text = films_text(document(score_films(context, ignore_event)))
    assert "prompted-finding-AUROC-macro" in text
    assert "untrained model" in text and "real films" in text
    assert "prompted-side-accuracy less that of another's prompt:" in text
    assert "unavailable: Frechet[rad-dino]: needs" in text


def test_pictures_of_gated_sources_are_held_back() -> None:
    assert may_be_shown("mimic_cxr", frozenset({"mimic_cxr"}))
    assert not may_be_shown("mimic_cxr", frozenset())
    assert may_be_shown("nih_cxr14", frozenset())


def test_what_a_prompt_asks_for_is_named_with_its_side() -> None:
    assert asked_for(SAID[0]) == ("Cardiomegaly", "Pleural Effusion, left")
    assert asked_for(SAID[3]) == ()


def test_nothing_to_draw_is_a_scoring_of_nothing_with_its_reason(tmp_path: Path) -> None:
    bare = world(tmp_path, {"train": 8, "validate": 8, "test": 0})
    draw_films(bare, ignore_event)
    artifact = score_films(bare, ignore_event)
    found = document(artifact)
    assert found["prompts"] == 0
    assert found["unavailable"]["films"].startswith("no test examples of mimic_cxr")
    assert "NOT SCORED" in films_text(found)
    assert "this page cannot say" in artifact.files(PAGE_FILE)[0].read_text()


def test_a_classifier_needs_films_to_look_at(tmp_path: Path) -> None:
    bare = world(tmp_path, {"train": 8, "validate": 0, "test": 4})
    with pytest.raises(InputError, match="found no validate examples of the set reports"):
        build_classifier(bare, ignore_event)


def test_the_leaderboard_ranks_films_under_their_own_task(context: Context) -> None:
    scored = score_films(context, ignore_event)
    found = leaderboard([context.store])
    [run] = found.runs
    assert run.name == scored.folder.removeprefix("scores/")
    measured = {
        (table.task, table.measure): placed.entry
        for table in found.tables
        for group in table.groups
        for placed in group.entries
        if placed.entry.kind == "measured"
    }
    assert {task for task, _ in measured} == {"generate"}
    own = measured["generate", "prompted-side-accuracy"]
    assert own.standing.told["section"] == "films of 32 px"
    assert own.standing.details["weights"], "the judge is told"
    assert not any("[" in measure for _, measure in measured), "findings are details"
    assert "Frechet[rad-dino]" in found.unavailable[run.name]


def test_a_trace_shows_prompts_only_where_text_is_asked_for(context: Context) -> None:
    score_films(context, ignore_event)
    study = "test-s0"
    for with_text in (False, True):
        found = trace_study(context, study, with_text=with_text)
        rows = [row for place, rows in found.items() if PREDICTIONS_FILE in place for row in rows]
        assert {row["study_id"] for row in rows} == {study}
        assert ({"prompt", "reference"} <= rows[0].keys()) is with_text
        assert "pixels" not in rows[0]


def test_a_conversation_draws_as_films_are_scored(context: Context, tmp_path: Path) -> None:
    run = chat_run(context, None, tmp_path, 3)
    assert run.pipeline == context.artifact("stages/guide").local_folder("model")
    assert run.draw == context.asked.films.sampler
    assert run.generate == context.settings.chat.generate
    with pytest.raises(SettingsError, match="ability 'draw'"):
        chat_run(context, "draw", tmp_path, 3)


def test_compare_takes_reports_alone(context: Context) -> None:
    scored = score_films(context, ignore_event)
    with pytest.raises(InputError, match="with scores of films; expected scores of reports"):
        find_scored(context.store, context.environment, scored.fingerprint)
