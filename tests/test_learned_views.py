"""Views that a model was shown: counted, read back, and held to what is asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from draw_ability_world import drawn_context, film_example, put_examples, put_stage

from sources.drawing import VIEW_SENTENCES, drawing_prompt
from sources.example import Example, examples_to_table
from sources.learned_views import (
    SHOWN_FROM,
    VIEWS,
    asked_view,
    count_views,
    read_views,
    shown_views,
    told_apart,
    unlearned_view,
)
from sources.record import View
from sources.selection import Selection
from tasks.context import Context
from tasks.draw.learned import learned_views
from tasks.graph import REVISIONS

TEXT = "There is a nodule."
FRONTAL = {"AP": 40, "PA": 40, "LATERAL": SHOWN_FROM - 1}


def of_view(number: int, view: View, **changes: str) -> Example:
    made = film_example(number, "train")
    [image] = made.images
    return replace(made, images=(replace(image, view=view),), **changes)


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Ten PA, six AP and two lateral films; one example without a film."""
    views = [View.PA] * 10 + [View.AP] * 6 + [View.LATERAL] * 2
    rows = [of_view(number, view) for number, view in enumerate(views)]
    rows[0] = replace(rows[0], source="brax", text_version="structure")
    rows.append(replace(film_example(99, "train"), images=()))
    for number in range(2):
        table = examples_to_table(rows[number::2])
        pq.write_table(table, tmp_path / f"train-{number}.parquet", row_group_size=4)
    return sorted(tmp_path.glob("*.parquet"))


def test_first_films_of_the_examples_that_a_stage_is_shown_are_counted(shards: list[Path]) -> None:
    assert count_views(shards, Selection()) == {"AP": 6, "LATERAL": 2, "PA": 10}
    assert count_views(shards, Selection(sources=("brax",))) == {"PA": 1}
    assert count_views(shards, Selection(text_versions=("keep",)))["PA"] == 9
    assert sum(count_views(shards, Selection(share=0.5)).values()) < 18


def test_every_sentence_is_known_also_as_a_model_writes_it() -> None:
    for view, said in VIEW_SENTENCES.items():
        assert asked_view(drawing_prompt(view, TEXT)) == view
        assert asked_view(f"  {said.lower().replace(' ', '  ')} {TEXT}") == view
        assert asked_view(f"{said.removesuffix('.')} . {TEXT}") == view
        assert asked_view(f"{TEXT} {said}") is None, "it does not begin with it"
    for text in ("", TEXT, "PA view of the chest was obtainable.", "PA and lateral views."):
        assert asked_view(text) is None


def test_a_view_of_fewer_examples_is_not_shown_and_where_none_is_nobody_knows() -> None:
    lateral = drawing_prompt("LATERAL", TEXT)
    assert shown_views(FRONTAL) == ("PA", "AP")
    assert unlearned_view(lateral, FRONTAL) == "LATERAL"
    assert unlearned_view(lateral, {**FRONTAL, "LATERAL": SHOWN_FROM}) is None
    assert unlearned_view(drawing_prompt("PA", TEXT), FRONTAL) is None
    assert unlearned_view(TEXT, FRONTAL) is None
    for unknown in (None, {}, {"UNKNOWN": 900}, {"UNKNOWN": 900, "PA": 1}):
        assert unlearned_view(lateral, unknown) is None
    found, expected = told_apart("LATERAL", FRONTAL)
    assert found == "a prompt for a LATERAL film"
    assert expected == "one of a view that this model has been shown: PA and AP"


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Thirty PA films and two lateral ones, and an old stage's folder, which tells nothing."""
    made = drawn_context(tmp_path)
    rows = [of_view(n, View.PA if n < 30 else View.LATERAL) for n in range(32)]
    put_examples(made, "reports", {"train": rows, "test": rows[30:]})
    (tmp_path / "guide").mkdir()
    (tmp_path / "guide" / "config.json").write_text('{"model_type": "cxr-sd"}')
    return made


def test_an_older_stages_views_are_counted_in_what_it_was_trained_on(
    context: Context, tmp_path: Path
) -> None:
    put_stage(context, "guide", tmp_path / "guide")
    assert learned_views(context, "guide") == {"LATERAL": 2, "PA": 30}
    for shard in Path(context.store.root).rglob("train-*.parquet"):
        shard.unlink()
    assert learned_views(context, "guide") is None, "and nothing is refused"


def test_what_a_stage_tells_itself_is_believed(context: Context, tmp_path: Path) -> None:
    told = {"model_type": "cxr-sd", VIEWS: {"AP": 7}}
    (tmp_path / "guide" / "config.json").write_text(json.dumps(told))
    put_stage(context, "guide", tmp_path / "guide")
    assert learned_views(context, "guide") == {"AP": 7}
    assert read_views(tmp_path / "guide" / "none.json", VIEWS) is None


def test_no_stage_is_trained_again_for_the_record() -> None:
    assert REVISIONS["stages"] == 7
