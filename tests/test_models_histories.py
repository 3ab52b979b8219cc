"""Requests for films behind other examples: which, how long, whose film, and that nothing leaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from draw_ability_world import request_example
from models_world import example, trained_world

from infra.errors import SettingsError
from infra.settings import load_settings
from models.canvas import Canvas
from models.collate import ConversationCollator
from models.data import ExampleShards, Sample
from models.histories import Histories
from models.mixture import parts_of
from models.tokenizers import load_tokenizer
from sources.example import Task, examples_to_table
from tasks.graph import build_graph

REQUESTS, REPORTS = 12, 8
TOKENIZER = load_tokenizer(trained_world() / "finetune")
COLLATE = ConversationCollator(TOKENIZER, ("turns",), 0, 400, learn="answers")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("histories")
    reports = [replace(example(number), task=Task.FINDINGS) for number in range(REPORTS)]
    requests = [request_example(number, "train") for number in range(REQUESTS)]
    for name, rows in (("reports", reports), ("requests", requests)):
        pq.write_table(examples_to_table(rows), root / f"{name}.parquet", row_group_size=4)
    return root / "reports.parquet", root / "requests.parquet"


def histories(
    files: tuple[Path, Path], share: float, fits: bool = True, seed: int = 1
) -> Histories:
    data = ExampleShards(files, None)
    parts = parts_of(data, {"reports": 1, "requests": 1})
    return Histories(data, parts, share, seed, lambda _: fits)


def every(given: Histories) -> list[Sample]:
    return [given[row] for row in range(len(given.examples))]


def test_a_share_of_requests_stands_behind_others_and_nothing_else_does(
    files: tuple[Path, Path],
) -> None:
    plain, joined = every(histories(files, 0.0)), every(histories(files, 1.0))
    assert plain == list(ExampleShards(files, None))
    assert joined[:REPORTS] == plain[:REPORTS], "only requests"
    for alone, long in zip(plain[REPORTS:], joined[REPORTS:], strict=True):
        assert long.target == alone.target and long.example_id == alone.example_id
        assert long.turns[-1] == alone.turns[-1], "what is asked for last is what is drawn"
        assert len(long.turns) in (3, 5)
        assert [turn.role for turn in long.turns] == ["user", "assistant"] * 2 + ["user"] or (
            len(long.turns) == 3
        )
    some = [len(sample.turns) > 1 for sample in every(histories(files, 0.5))[REPORTS:]]
    assert any(some) and not all(some)


def test_the_same_seed_puts_them_behind_the_same(files: tuple[Path, Path]) -> None:
    assert every(histories(files, 0.5)) == every(histories(files, 0.5))
    assert every(histories(files, 0.5)) != every(histories(files, 0.5, seed=2))


def test_what_does_not_fit_keeps_fewer_before_it(files: tuple[Path, Path]) -> None:
    assert every(histories(files, 1.0, fits=False)) == every(histories(files, 0.0))
    sample = histories(files, 0.0)[REPORTS]
    assert COLLATE.fits(sample)
    assert not replace(COLLATE, context_tokens=8).fits(sample)


def test_a_film_is_that_of_the_first_example(files: tuple[Path, Path]) -> None:
    data = ExampleShards(files, Canvas(32))
    parts = parts_of(data, {"reports": 1, "requests": 1})
    found = every(Histories(data, {"reports": parts["reports"]}, 1.0, 1, lambda _: True))
    for sample in found[REPORTS:]:
        assert sample.behind is not None and sample.behind.task == Task.FINDINGS
        assert sample.pixels is sample.behind.pixels and sample.view == sample.behind.view
        assert len(sample.turns) == 3, "a film begins a conversation"


def test_words_for_a_film_tell_nothing_of_the_text_to_draw(files: tuple[Path, Path]) -> None:
    """In a stage of text alone a request is read without words in an image's place, and one behind
    a report beside that report's."""
    data = histories(files, 0.0)
    asked = replace(data[REPORTS], target="Sure. <Xray>Zebra.</Xray>")
    report = replace(data[0], target="Walrus.")
    alone = TOKENIZER.decode(COLLATE([asked])["input_ids"][0])
    assert alone.count("Zebra") == 1
    long = replace(asked, view=report.view, turns=(*report.turns, *asked.turns), behind=report)
    read = TOKENIZER.decode(COLLATE([long])["input_ids"][0])
    assert read.count("Zebra") == 1
    assert "Walrus" in read


def test_history_belongs_to_stages_of_requests_and_changes_no_other() -> None:
    with pytest.raises(SettingsError, match="stage align has history, and learns no set"):
        load_settings("medxchat", "tiny", ["stages.align.history=0.5"])
    tiny = load_settings("medxchat", "tiny")
    graph = build_graph(tiny, {}, frozenset(tiny.sources.names))
    assert graph["stages/finetune"].settings["stage"]["history"] == 0.5
    assert "history" not in graph["stages/pretrain"].settings["stage"]
