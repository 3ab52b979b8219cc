"""The cxr command: its flags, its exit codes, its one-line errors, and what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_flags import COMMANDS, FLAGS
from cli_world import Say
from raw_world import look, write_raw

from flows.goals import COMMANDS as COMMANDS_OF
from flows.goals import GOALS
from infra.settings import Settings, load_settings, preset_names
from infra.settings.environment import Environment
from infra.store import SCRATCH
from sources.catalog import catalog
from tasks.ingest.studies import ingest_studies
from tasks.monitor.plan import KINDS_UNTIL


def described(command: Any) -> str:
    """Arguments in their order, then flags in alphabetical order with their defaults."""
    words, flags = [], []
    for item in command.params:
        if item.param_type_name == "argument":
            words.append(item.name if item.required else f"[{item.name}]")
        elif item.opts != ["--help"]:
            has_none = item.default is None or item.default is False or item.default == ()
            shown = "" if has_none else f"={item.default}"
            flags.append(f"{item.opts[-1]}{'*' if item.multiple else shown}")
    return " ".join([*words, *sorted(flags)])


def test_every_commands_flags_are_frozen() -> None:
    assert {name: described(command) for name, command in COMMANDS.items()} == FLAGS


@pytest.mark.parametrize("name", [*FLAGS, ""])
def test_help_is_complete_and_has_no_traceback(cxr: Say, name: str) -> None:
    said = cxr(*name.split(), "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: cxr {name}".rstrip())
    assert "Traceback" not in said.out + said.err
    for word in FLAGS.get(name, "").split():
        assert word.strip("[]*").partition("=")[0] in said.out
    if not name:
        assert "Not a medical device" in said.out
        assert all(f"  {command.split()[0]} " in said.out for command in FLAGS)


def test_goals_and_commands_agree() -> None:
    assert set(COMMANDS_OF) == set(GOALS) == {*KINDS_UNTIL, "register", "run"}
    assert set(COMMANDS_OF.values()) <= set(COMMANDS)


ERRORS = [
    (
        ["config", "--recipe", "gpt", "--scale", "huge"],
        "error: found recipe 'gpt' at scale 'huge'; expected one of "
        f"{', '.join('/'.join(pair) for pair in preset_names())}; see 'cxr config --help'",
    ),
    (
        ["config", "--set", "images.short_side_px=wide"],
        "error: found 'wide' at 'images.short_side_px' of llava_rad.tiny.toml; expected a "
        "valid integer, unable to parse string as an integer; see 'cxr config'",
    ),
    (
        ["config", "--set", "images.short_side_px.x=3"],
        "error: found override key 'images.short_side_px.x'; expected a table or stage "
        "'short_side_px'; see 'cxr config'",
    ),
    (
        ["config", "--set", 'stages.align.starts_from=["dreams"]'],
        "error: found stage align starts from dreams, which is no earlier stage at 'the top' of "
        "llava_rad.tiny.toml; expected values that fit together; see 'cxr config'",
    ),
    (
        ["sources", "nowhere"],
        f"error: found source 'nowhere'; expected one of {', '.join(catalog())}; see 'cxr sources'",
    ),
    (
        ["run", "--source", "openi"],
        "error: found --source openi; expected --source name=path; name a source of 'cxr sources'",
    ),
    (
        ["run", "--dry-run"],
        "error: found no raw data for any source of recipe 'llava_rad'; expected at least one of "
        "mimic_cxr, chexpert, padchest, vindr_cxr, brax, candid_ptx, object_cxr; give --source "
        "mimic_cxr=PATH, set CXR_SOURCE_MIMIC_CXR, or use --replicas",
    ),
    (
        ["replicate", "openi", "somewhere"],
        "error: found source 'openi', which has no replica; expected a gated source; see "
        "'cxr sources'",
    ),
    (
        ["trace", "s1", "--replicas"],
        "error: found no row of study 's1' under {root}; expected a study_id as its publisher "
        "writes it; check the recipe, scale and sources; 'cxr ingest' must have run",
    ),
]


@pytest.mark.parametrize(("arguments", "line"), ERRORS, ids=[" ".join(a) for a, _ in ERRORS])
def test_bad_input_is_one_line_and_exit_code_2(
    cxr: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = cxr(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err == line.format(root=tmp_path / "data") + "\n"


def test_the_sources_are_a_table(cxr: Say) -> None:
    lines = cxr("sources").out.splitlines()
    assert [line.split()[0] for line in lines] == ["source", *catalog()]
    for line, source in zip(lines[1:], catalog().values(), strict=True):
        assert line.endswith(source.card.title)
        assert line.split()[2] == source.card.llm_egress
        assert line.split()[3] == ("yes" if source.write_replica else "no")


@pytest.mark.parametrize("name", catalog())
def test_a_sources_card_and_layout_are_shown(cxr: Say, name: str) -> None:
    said = cxr("sources", name)
    card = catalog()[name].card
    assert said.code == 0
    assert card.title in said.out
    assert f"llm_egress       {card.llm_egress}" in said.out
    head, _, layout = said.out.partition("\n\n")
    assert len(layout.strip().splitlines()) > 3, "the module says how its files must lie"
    (as_json,) = json.loads(cxr("sources", name, "--json").out)
    assert as_json["name"] == name
    assert set(as_json) == {line.split()[0] for line in head.splitlines()}


def test_presets_are_listed_as_options(cxr: Say) -> None:
    assert [tuple(line.split()[1::2]) for line in cxr("config", "--list").out.splitlines()] == (
        preset_names()
    )
    listed = json.loads(cxr("config", "--list", "--json").out)
    assert [(item["recipe"], item["scale"]) for item in listed] == preset_names()


def settings_lines(text: str) -> list[str]:
    return text.partition("\n\n")[0].splitlines()


@pytest.mark.parametrize(("recipe", "scale"), preset_names())
def test_config_prints_what_set_accepts(cxr: Say, recipe: str, scale: str) -> None:
    """Every printed line is an override, and all of them together change nothing; alone, each
    preset's share of them is tried, for a line takes as long as a whole preset."""
    lines = settings_lines(cxr("config", "--recipe", recipe, "--scale", scale).out)
    assert len(lines) > 100
    assert load_settings(recipe, scale, lines) == load_settings(recipe, scale)
    share = preset_names().index((recipe, scale))
    for line in lines[share :: len(preset_names())]:
        assert load_settings(recipe, scale, [line]) == load_settings(recipe, scale), line


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "scale"), preset_names())
def test_each_line_that_config_prints_changes_nothing_alone(
    cxr: Say, recipe: str, scale: str
) -> None:
    for line in settings_lines(cxr("config", "--recipe", recipe, "--scale", scale).out):
        assert load_settings(recipe, scale, [line]) == load_settings(recipe, scale), line


def test_config_shows_overrides_and_json_reads_back(cxr: Say) -> None:
    sets = ["--set", "images.short_side_px=224", "--set", "stages.align.steps=7"]
    lines = settings_lines(cxr("config", *sets).out)
    assert "images.short_side_px = 224" in lines
    assert "stages.align.steps = 7" in lines
    document = json.loads(cxr("config", *sets, "--json").out)
    wanted = load_settings("llava_rad", "tiny", sets[1::2])
    assert Settings.model_validate(document["settings"]) == wanted
    assert set(document["environment"]) == set(Environment.model_fields)


def test_secrets_are_never_printed(cxr: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_LLM_API_KEY", "sk-hunter2")
    monkeypatch.setenv("CXR_LLM_BASE_URL", "https://me:hunter2@llm.example.org/v1")
    monkeypatch.setenv("CXR_MLFLOW_URI", "postgresql://cxr:hunter2@db/mlflow")
    for more in ([], ["--json"]):
        said = cxr("config", *more)
        assert "hunter2" not in said.out + said.err
        assert "https://me:***@llm.example.org/v1" in said.out
    assert "CXR_LLM_API_KEY = set" in cxr("config").out


def test_what_is_not_set_says_so(cxr: Say) -> None:
    lines = cxr("config").out.splitlines()
    assert "CXR_LLM_API_KEY = (not set)" in lines
    assert "CXR_WEIGHTS_ROOT = (not set)" in lines
    assert "CXR_DATA_ROOT = data" in lines
    assert json.loads(cxr("config", "--json").out)["environment"]["llm_api_key"] is None


def test_replicate_writes_a_tree_of_ones_own(cxr: Say, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "chexpert"
    said = cxr("replicate", "chexpert", folder, "--studies", 3, "--side-px", 64)
    files = sum(path.is_file() for path in folder.rglob("*"))
    assert said.out == (f"{files} files in {folder}; every pixel and word in them is synthetic\n")
    again = cxr("replicate", "chexpert", folder)
    assert again.code == 2
    assert again.err == (
        f"error: found files in {folder}; expected an empty or new folder; choose another\n"
    )
    at_file = cxr("replicate", "chexpert", next(folder.rglob("*.csv")))
    assert (at_file.code, at_file.err.count("\n")) == (2, 1)


def test_a_dry_run_says_what_and_why(cxr: Say, tmp_path: Path) -> None:
    options = ["--replicas", "--data-root", tmp_path / "data"]
    rows = json.loads(cxr("ingest", *options, "--dry-run", "--json").out)
    assert len(rows) == 21
    assert {(row["state"], row["why"]) for row in rows} == {("absent", "never built")}
    text = cxr("ingest", *options, "--dry-run").out.splitlines()
    assert text[-1] == "21 steps: 0 exist, 21 would be built"
    assert [line.split()[0] for line in text[:-1]] == [row["key"] for row in rows]


@pytest.mark.slow
def test_the_doctor_mends_scratch_and_finds_a_flipped_byte(cxr: Say, tmp_path: Path) -> None:
    raw = write_raw("chexpert", tmp_path / "raw", 8)
    artifact = ingest_studies(look(tmp_path / "data", {"chexpert": raw}), "chexpert")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / "data" / SCRATCH / f"{os.uname().nodename}-{dead.pid}-{'0' * 32}"
    left.mkdir()
    said = cxr("doctor", "--data-root", tmp_path / "data")
    assert said.code == 0, said.out
    assert f"{'mended':12} {'scratch':24} removed 1 left by killed runs" in said.out
    assert not left.exists()
    victim = artifact.files("studies.parquet")[0]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    said = cxr("doctor", "--data-root", tmp_path / "data", "--json")
    wrong = [finding for finding in json.loads(said.out) if finding["state"] == "wrong"]
    assert said.code == 1
    assert [finding["what"] for finding in wrong] == [artifact.folder]
    assert wrong[0]["detail"] == f"damaged {artifact.pieces[0].key}; the next run rebuilds it"
    manifest = tmp_path / "data" / artifact.folder / "manifest.json"
    manifest.unlink()
    manifest.mkdir()
    said = cxr("doctor", "--data-root", tmp_path / "data", "--json")
    wrong = [finding for finding in json.loads(said.out) if finding["state"] == "wrong"]
    assert said.code == 1
    assert [finding["what"] for finding in wrong] == [artifact.folder]
    assert wrong[0]["detail"].startswith(f"found a folder in the way at {manifest}"), wrong


def test_texts_of_an_unknown_section_are_not_scored(cxr: Say, tmp_path: Path) -> None:
    said = cxr("score", tmp_path / "pairs.csv", "--section", "finding")
    line = (
        "found section 'finding'; expected one of findings, impression, report; correct --section"
    )
    assert (said.code, said.err.strip()) == (2, f"error: {line}")


def test_an_installed_command_and_a_child_agree(tmp_path: Path) -> None:
    """The console script: exit code 2, one line on stderr, nothing on stdout."""
    done = subprocess.run(
        [sys.executable, "-c", "from flows.cli import main; main()", "sources", "nowhere"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [ERRORS[4][1]]


def test_looking_imports_neither_prefect_nor_torch_nor_mlflow() -> None:
    code = (
        "import sys; from flows.cli import APP\n"
        "heavy = {'prefect', 'torch', 'mlflow', 'transformers', 'openai'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_commands_that_look_make_nothing(cxr: Say, tmp_path: Path) -> None:
    for command in (["doctor"], ["trace", "study-1", "--replicas"]):
        said = cxr(*command, "--data-root", tmp_path / "typo")
        assert said.code == 2
        assert said.err.count("\n") == 1
        assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("goal", ["run", "ingest"])
def test_a_plan_for_a_file_as_data_root_is_one_clear_line(
    cxr: Say, tmp_path: Path, goal: str
) -> None:
    (tmp_path / "file").write_text("")
    said = cxr(goal, "--replicas", "--data-root", tmp_path / "file", "--dry-run")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert f"a file in the way at {tmp_path / 'file'}" in said.err


def test_a_replica_where_no_folder_can_be_is_one_clear_line(cxr: Say) -> None:
    said = cxr("replicate", "brax", "/dev/null/x")
    assert (said.code, said.err.count("\n")) == (2, 1)


def test_a_plan_says_what_the_run_would_stop_at(cxr: Say, tmp_path: Path) -> None:
    options = ["--scale", "paper", "--replicas", "--data-root", tmp_path / "data"]
    said = cxr("run", *options, "--dry-run")
    room, stop = said.err.splitlines()
    assert said.code == 0
    assert "steps were never built here: replicas/" in room
    assert stop.startswith("the run would stop at once: found model 'gpt-4' without an endpoi")
    offline = ["--set", "reports.model=offline-rules", "--set", 'score.judges=["offline-rules"]']
    stopped = "found stage 'pretrain' without its weights; expected a folder with the published mod"
    assert stopped in cxr("run", *options, *offline, "--dry-run").err
    assert not (tmp_path / "data").exists()


def test_a_variable_of_a_source_outside_the_recipe_is_named(
    cxr: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_SOURCE_OPENI", str(tmp_path / "openi"))
    said = cxr("ingest", "--replicas", "--data-root", tmp_path / "data", "--dry-run")
    assert said.code == 0
    assert "CXR_SOURCE_OPENI is not used: the recipe has no source openi" in said.err
