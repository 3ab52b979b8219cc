"""The leaderboard of data roots: recipes found, ranked or refused, variants named, pages."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from evaluation.leaderboard_page import render_leaderboard
from flows.cli import main
from infra.errors import ArtifactError, InputError
from infra.step import Step
from tasks.leaderboard.runs import find_runs
from tasks.leaderboard.show import overview_text
from tasks.leaderboard.work import (
    TABLE_FILE,
    Leaderboard,
    leaderboard,
    open_roots,
    write_leaderboard,
)
from tasks.one_set.plan import KIND as COMPARISONS
from tests.board_world import put, renamed, store_at, write_ablation, write_run
from tests.scores_world import NORMAL, predictions_table

METRIC = "rule14-micro-F1"


def worse() -> Any:
    """Predictions on the same test set that always say the chest is normal."""
    table = predictions_table()
    return renamed(table, "prediction", [NORMAL] * table.num_rows)


def board(*roots: Path, older: bool = False) -> Leaderboard:
    return leaderboard([store_at(root) for root in roots], older=older)


def measured(found: Leaderboard, measure: str) -> list[tuple[str, str, int | None]]:
    """(group, system, rank) of what was measured here."""
    [table] = [each for each in found.tables if each.measure == measure]
    return [
        (group.name, placed.entry.system, placed.rank)
        for group in table.groups
        for placed in group.entries
        if placed.entry.kind != "published"
    ]


def test_a_run_is_found_with_its_recipe_scale_and_test_set(tmp_path: Path) -> None:
    written = write_run(tmp_path)
    [run] = find_runs(store_at(tmp_path))
    assert (run.system, run.recipe, run.scale) == ("llava_rad tiny", "llava_rad", "tiny")
    assert run.name == f"llava_rad-{written.scores}"
    assert run.test.dataset == "mimic_cxr (replica)"
    assert run.changes == ()


def test_paper_is_told_from_tiny_and_one_model_of_a_recipe_from_the_other(tmp_path: Path) -> None:
    write_run(tmp_path / "one", scale="paper", replica=False)
    write_run(tmp_path / "two", ability="gla_findings", recipe="gla_rrg24", scale="paper")
    [one], [two] = (find_runs(store_at(tmp_path / name)) for name in ("one", "two"))
    assert (one.system, one.test.dataset) == ("llava_rad paper", "mimic_cxr")
    assert two.system == "gla_rrg24 gla_findings paper"


def test_changed_settings_are_in_the_name(tmp_path: Path) -> None:
    write_run(tmp_path, changes={"steps": 7})
    assert find_runs(store_at(tmp_path))[0].system == "llava_rad tiny, finetune.steps=7"


EARLIER = {
    "stages/pretrain": {"stage": {"steps": 3}},
    "stages/align": {"stage": {"examples": {"llava_rad": 2.0}}},
    "examples/llava_rad": {"views": ["PA"]},
    "predictions/llava_rad": {"beams": 4},
    "replicas/mimic_cxr": {"studies": 7},
}
"""Settings that no last stage tells, by step."""


@pytest.mark.parametrize("key", EARLIER)
def test_any_setting_behind_the_scores_is_a_change(tmp_path: Path, key: str) -> None:
    """Two runs that differ in it alone stand beside each other, under two names."""
    write_run(tmp_path)
    write_run(tmp_path, behind={key: EARLIER[key]})
    found = board(tmp_path)
    assert (len(found.runs), found.older) == (2, 0)
    plain, changed = sorted(run.system for run in found.runs)
    assert plain == "llava_rad tiny"
    [told] = next(run for run in found.runs if run.system == changed).changes
    place = told.partition("=")[0]
    assert (
        place
        == {
            "stages/pretrain": "pretrain.steps",
            "stages/align": "align.examples.llava_rad",
            "examples/llava_rad": "llava_rad.views",
            "predictions/llava_rad": "predictions.beams",
            "replicas/mimic_cxr": "replicas.mimic_cxr.studies",
        }[key]
    )


def test_many_changes_are_counted_and_equal_names_marked(tmp_path: Path) -> None:
    """Beyond three a name tells how many more; what tells two apart may be among those."""
    for steps in (3, 4):
        changes = {"steps": 7, "batch_size": 3, "learning_rate": 1.0, "seed": 9}
        write_run(
            tmp_path, changes=changes, behind={"stages/pretrain": {"stage": {"steps": steps}}}
        )
    found = board(tmp_path)
    assert len({run.system for run in found.runs}) == 2
    for run in found.runs:
        assert len(run.changes) == 5
        assert run.system.endswith(f", 2 more, scores {run.name[-16:][:8]}")


def test_two_models_on_one_test_set_are_ranked(tmp_path: Path) -> None:
    """The issue's case: systems compared on one test set, whatever their recipes."""
    write_run(tmp_path / "one")
    write_run(tmp_path / "two", ability="report", recipe="medxchat", predictions=worse())
    found = measured(board(tmp_path / "one", tmp_path / "two"), METRIC)
    [own, policies] = [[row for row in found if row[0] == name] for name in ("a", "b")]
    assert [row[1:] for row in own] == [("llava_rad tiny", 1), ("medxchat report tiny", 2)]
    assert len(policies) == 2, "the other policy for doubts is a group of its own"


def test_models_of_a_comparison_are_their_recipes(tmp_path: Path) -> None:
    """Asked on another recipe's set, they bear a name that no preset has."""
    own = write_run(tmp_path, called="llava_rad-on-rrg24_findings")
    put(
        store_at(tmp_path),
        Step(COMPARISONS, "rrg24_findings", {"recipes": ["llava_rad"]},
             {"llava_rad": own.scores, "test_sets/rrg24_findings": "0" * 16}, 1, ()),
        "x.json", {},
    )  # fmt: skip
    [run] = find_runs(store_at(tmp_path))
    assert (run.recipe, run.scale) == ("llava_rad", "tiny")
    assert run.system == "llava_rad on rrg24_findings tiny"
    assert measured(board(tmp_path), METRIC)[0][1] == "llava_rad on rrg24_findings tiny"


def test_other_test_sets_are_not(tmp_path: Path) -> None:
    table = predictions_table()
    edited = [f"{text} Stable." for text in table["reference"].to_pylist()]
    write_run(tmp_path / "one")
    write_run(tmp_path / "two", predictions=renamed(table, "reference", edited))
    write_run(tmp_path / "three", predictions=predictions_table(count=38))
    write_run(tmp_path / "four", replica=False)
    found = board(*(tmp_path / name for name in ("one", "two", "three", "four")))
    [table_of] = [each for each in found.tables if each.measure == "ROUGE-L"]
    ours = [g for g in table_of.groups if g.entries[0].entry.kind == "measured"]
    assert [len(group.entries) for group in ours] == [1, 1, 1, 1]
    roots = {run.name: Path(run.root).name for run in found.runs}
    standings = {roots[str(each.entries[0].entry.run)]: each.standing for each in ours}
    differ = {name: standings["one"].apart(standings[name])[0] for name in standings}
    assert differ == {
        "one": (),
        "two": ("test_set",),
        "three": ("n", "test_set"),
        "four": ("dataset",),
    }


def test_policies_for_doubts_are_not_ranked_together(tmp_path: Path) -> None:
    write_run(tmp_path / "one")
    write_run(tmp_path / "two", uncertain_as="positive")
    found = measured(board(tmp_path / "one", tmp_path / "two"), METRIC)
    assert all(rank is None for _, _, rank in found)
    assert len({group for group, _, _ in found}) == 4


def test_variants_of_an_ablation_bear_its_names(tmp_path: Path) -> None:
    baseline = write_run(tmp_path)
    variant = write_run(tmp_path, predictions=worse(), changes={"steps": 9})
    write_ablation(tmp_path, "parts", {"baseline": baseline.scores, "short": variant.scores})
    found = board(tmp_path)
    assert [(system, rank) for group, system, rank in measured(found, METRIC) if group == "a"] == [
        ("llava_rad tiny, parts: baseline", 1),
        ("llava_rad tiny, parts: short", 2),
    ]
    [table] = [each for each in found.tables if each.measure == METRIC]
    assert {each.kind for each in table.entries} == {"ablation"}


def test_the_newest_run_of_the_same_settings_stands_for_it(tmp_path: Path) -> None:
    """The same run again, by code that was changed since."""
    write_run(tmp_path)
    time.sleep(1.1)  # manifests tell the time in seconds
    newest = write_run(tmp_path, revision=2)
    found = board(tmp_path)
    assert [run.name for run in found.runs] == [f"llava_rad-{newest.scores}"]
    assert found.older == 1
    both = board(tmp_path, older=True).runs
    assert len({run.system for run in both}) == 2, "each bears its fingerprint"


def test_answers_and_drawn_films_stand_under_their_own_tasks(tmp_path: Path) -> None:
    signature = {
        "metric": "closed-accuracy", "version": "1", "scale": "0-1", "section": "answer",
        "examples": 40, "level": "mean over questions",
    }  # fmt: skip
    row = {"metric": "closed-accuracy", "control": "none", "group": "all", "value": 0.5,
           "low": 0.4, "high": 0.6, "higher_is_better": True, "signature": signature}  # fmt: skip
    typed = {**row, "group": "presence", "value": 0.6}
    film = {
        **row, "metric": "Frechet-relative[in-house]", "higher_is_better": False, "group": "all",
        "signature": {**signature, "metric": "Frechet-relative[in-house]",
                      "section": "films of 64 px"},
    }  # fmt: skip
    blind = {**row, "control": "blank", "value": 0.1}
    document = {"scores": [row, typed, blind, film], "unavailable": {"x": "needs weights"}}
    write_run(tmp_path, document=document)
    found = board(tmp_path)
    ours = {
        (table.task, table.measure): placed.entry.value
        for table in found.tables
        for group in table.groups
        for placed in group.entries
        if placed.entry.kind == "measured"
    }
    assert ours == {
        ("vqa", "closed-accuracy"): 0.5,
        ("vqa", "closed-accuracy, presence"): 0.6,
        ("generate", "Frechet-relative"): 0.5,
    }
    assert list(found.unavailable.values()) == [{"x": "needs weights"}]
    [table] = [each for each in found.tables if each.measure == "closed-accuracy"]
    entries = [entry for group in table.to_dict()["groups"] for entry in group["entries"]]
    told = [entry["controls"] for entry in entries if entry["kind"] == "measured"]
    assert told == [{"blank": pytest.approx(10.0 if table.scale == "0-100" else 0.1)}]
    assert all(entry["controls"] == {} for entry in entries if entry["kind"] == "published")
    document = found.to_dict(found.tables)
    page = render_leaderboard(document, {"closed-accuracy"})
    text = overview_text(found)
    for shown in (page, text):
        assert re.search(r"without looking: blank film (10\.0|0\.100)", shown)
    assert "are on different test sets" in page
    assert "different test sets" in text


def test_a_run_of_no_known_recipe_is_listed_apart(tmp_path: Path) -> None:
    """An ability that no preset has: its numbers stand there, of nobody's system."""
    write_run(tmp_path, called="somebody-elses")
    found = board(tmp_path)
    document = found.to_dict(found.tables)
    [run] = document["other_runs"]
    assert (run["system"], run["scale"]) == ("unknown recipe somebody-elses", None)
    assert all(row["status"] == "not run here" for row in document["systems"])
    assert measured(found, METRIC)[0][1] == "unknown recipe somebody-elses"
    assert METRIC not in {table.measure for table in found.headlines}


def test_recipes_that_were_not_run_are_listed_with_their_figures_alone(tmp_path: Path) -> None:
    tmp_path.joinpath("empty").mkdir()
    document = board(tmp_path / "empty").to_dict(board(tmp_path / "empty").tables)
    assert [row["recipe"] for row in document["systems"]] == ["llava_rad", "gla_rrg24", "medxchat"]
    for row in document["systems"]:
        assert row["status"] == "not run here"
        assert row["runs"] == []
        assert row["published_figures"] >= 10
    kinds = {
        entry["kind"]
        for table in document["tables"]
        for group in table["groups"]
        for entry in group["entries"]
    }
    assert kinds == {"published"}


def test_a_damaged_score_gives_no_rank(tmp_path: Path) -> None:
    write_run(tmp_path)
    [file] = tmp_path.glob("scores/*/*/scores.json")
    file.write_text(file.read_text().replace("0.", "1.", 1))
    with pytest.raises(ArtifactError, match=r"scores\.json damaged or absent"):
        board(tmp_path)


def test_scores_without_what_is_behind_them(tmp_path: Path) -> None:
    write_run(tmp_path)
    [manifest] = tmp_path.glob("stages/finetune-*/manifest.json")
    manifest.unlink()
    with pytest.raises(ArtifactError, match="without its stages"):
        board(tmp_path)


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data root"):
        open_roots([str(tmp_path / "nowhere")])


class Printed:
    """What a command printed, and its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["leaderboard", *arguments])
        self.code = ended.value.code
        self.out, self.err = capsys.readouterr()


def test_the_commands_table_fits_a_hundred_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path)
    for more in ((), ("--all",), ("--measure", "BLEU-4")):
        said = Printed(capsys, str(tmp_path), *more)
        assert said.code == 0
        lines = [line for line in said.out.splitlines() if not line.startswith("data root")]
        assert max(map(len, lines)) <= 100
        assert "llava_rad tiny" in said.out
        assert "not run here" in said.out
    assert "not ranked: a with b (other dataset, n; not told: version, test set)" in said.out


def test_the_commands_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The schema of docs/leaderboard.md."""
    write_run(tmp_path)
    document = json.loads(Printed(capsys, str(tmp_path), "--json").out)
    assert document["format"] == 1
    assert document["roots"] == [str(tmp_path)]
    assert {row["recipe"]: row["status"] for row in document["systems"]} == {
        "llava_rad": "scored",
        "gla_rrg24": "not run here",
        "medxchat": "not run here",
    }
    [run] = document["systems"][0]["runs"]
    assert run["dataset"] == "mimic_cxr (replica)"
    page = (Path(__file__).parent.parent / "docs" / "leaderboard.md").read_text()
    keys = {*document, *document["systems"][0], *run, *document["tables"][0]}
    group = document["tables"][0]["groups"][0]
    keys |= {*group, *group["signature"], *group["entries"][0]}
    refused = [each for table in document["tables"] for each in table["not_ranked"]]
    keys |= {*refused[0]}
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []
    for table in document["tables"]:
        for each in table["groups"]:
            for entry in each["entries"]:
                assert (entry["quoted_from"] is None) == (entry["kind"] != "published")
                assert (entry["run"] is None) == (entry["kind"] == "published")


def test_page_and_document_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "root", predictions=worse())
    out = tmp_path / "out"
    said = Printed(capsys, str(tmp_path / "root"), "--out", str(out), "--json")
    assert json.loads((out / "leaderboard.json").read_text()) == json.loads(said.out)
    page = (out / "leaderboard.html").read_text()
    for text in (
        "Gla-AI4BioMed",
        "not run here",
        "Not a medical device",
        "Synthetic data",
        "MAIRA-2 (arXiv 2406.04449 v2), Table D.1",
        "not told: version, test set",
    ):
        assert text in page
    assert "<script" not in page
    assert 'src="http' not in page
    assert 'href="http' not in page


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--measure", "BLUE-4"), "found measure 'BLUE-4'; expected one that is here, such as"),
        (("nowhere-at-all",), "found no data root nowhere-at-all"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    said = Printed(capsys, str(tmp_path), *more)
    assert said.code == 2
    assert said.out == ""
    [line] = said.err.splitlines()
    assert line.startswith(f"error: {message}")


def test_a_root_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    write_run(tmp_path / "data")
    root, link = tmp_path / "data", tmp_path / "link"
    link.symlink_to(root)
    assert [each.root for each in open_roots([str(root), f"{root}/", str(link)])] == [str(root)]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    write_run(tmp_path / "data")
    found = board(tmp_path / "data")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"found a file in the way at .*file/out"):
        write_leaderboard(found, tmp_path / "file" / "out")
    (tmp_path / "out" / TABLE_FILE).mkdir(parents=True)
    with pytest.raises(InputError, match=f"found a folder in the way at .*{TABLE_FILE}"):
        write_leaderboard(found, tmp_path / "out")
