"""Metrics validated as a person does it: files in, tables and picture out, nothing sent astray."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from llm_world import Script, completion, scripted_server
from validation_world import made_pairs, rated, write_csv, write_rexval

from evaluation.chexprompt import ErrorCounts, kind_counts
from evaluation.validation.page import as_markdown
from flows.cli import main
from infra.egress import Guarantee
from infra.errors import EgressRefused, InputError
from infra.settings.environment import Environment
from tasks.validate.work import (
    Asked,
    find_planted,
    validate_metrics,
    write_recovery,
    write_validation,
)

OFFLINE = "chexprompt[offline-rules]-significant-errors"


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    rows = list(rated(made_pairs(12, 2), raters=3, noise=0.3))
    return write_csv(tmp_path / "ratings.csv", rows)


@pytest.fixture
def place(tmp_path: Path) -> Environment:
    return Environment(data_root=str(tmp_path / "data"))


def test_the_offline_judge_is_rated_beside_other_metrics(ratings: Path, place: Environment) -> None:
    asked = Asked(ratings, ("offline-rules",), resamples=50)
    found, judged = validate_metrics(asked, place)
    tau = {item.metric: item.tau.value for item in found.agreements if item.target == "all"}
    assert (tau["chexprompt[offline-rules]-errors"] or 0) > 0.8
    assert {"ROUGE-L[rouge-score-nostem]", "rule14-F1[of one pair]"} <= set(tau)
    assert "chexprompt" not in found.unavailable
    assert judged is not None and judged.num_rows == 24


def test_without_a_judge_nothing_is_asked(ratings: Path, place: Environment) -> None:
    found, judged = validate_metrics(Asked(ratings, resamples=20), place)
    assert judged is None
    assert found.unavailable["chexprompt"] == "no judge was asked"
    assert not Path(place.data_root).exists()


def test_rated_texts_go_nowhere_unless_their_source_says_so(ratings: Path, tmp_path: Path) -> None:
    script = Script(lambda *_: (200, completion("{}")))
    with scripted_server(script) as endpoint:
        far = Environment(data_root=str(tmp_path / "data"), llm_base_url="http://llm.example/v1")
        for texts_of in (None, "mimic_cxr"):
            with pytest.raises(EgressRefused):
                validate_metrics(Asked(ratings, ("gpt-4",), texts_of), far)
        near = Environment(data_root=str(tmp_path / "data"), llm_base_url=endpoint.base_url)
        counts = ErrorCounts(significant=kind_counts(), insignificant=kind_counts())
        script.reply = lambda *_: (200, completion(counts.model_dump_json()))
        validate_metrics(Asked(ratings, ("gpt-4",), resamples=20), near)
    assert len(script.bodies) > 0
    log = "".join(p.read_text() for p in (tmp_path / "data" / ".state").glob("*audit*"))
    assert '"ratings"' in log and "effusion" not in log


def test_rexvals_texts_follow_mimic_cxrs_card(tmp_path: Path) -> None:
    folder = write_rexval(tmp_path / "rexval")
    far = {"data_root": str(tmp_path / "data"), "llm_base_url": "http://127.0.0.1:1/v1"}
    found, _ = validate_metrics(Asked(folder, resamples=20), Environment(**far))  # type: ignore[arg-type]
    assert found.name == "ReXVal"
    assert found.kinds == ()
    here = Environment(data_root=str(tmp_path / "here"))
    judged, _ = validate_metrics(Asked(folder, ("offline-rules",), resamples=20), here)
    omitted = next(item for item in judged.kinds if item.kind == "omission_finding")
    assert (omitted.pairs, omitted.tier, omitted.judge) == (24, "significant", "offline-rules")
    assert omitted.difference < 0.5
    remote = {**far, "llm_base_url": "https://llm.example/v1", "llm_guarantee": Guarantee.NONE}
    with pytest.raises(EgressRefused, match="mimic_cxr"):
        validate_metrics(Asked(folder, ("gpt-4",)), Environment(**remote))  # type: ignore[arg-type]


def test_a_refusing_judge_is_rated_on_what_it_judged(ratings: Path, tmp_path: Path) -> None:
    counts = ErrorCounts(significant=kind_counts(), insignificant=kind_counts())

    def reply(number: int, body: object) -> tuple[int, object]:
        del body
        if number % 2:
            return 200, completion(None, refusal="no")
        return 200, completion(counts.model_dump_json())

    with scripted_server(Script(reply)) as endpoint:
        near = Environment(data_root=str(tmp_path / "data"), llm_base_url=endpoint.base_url)
        found, judged = validate_metrics(Asked(ratings, ("x",), resamples=20), near)
    assert judged is not None
    refused = judged["failure"].to_pylist().count("refused")
    (item,) = [a for a in found.agreements if a.metric == "chexprompt[x]-errors"]
    assert refused > 0 and item.pairs == 24 - refused
    assert found.failures == {"x": {"refused": refused}}
    assert f"x gave no counts for {refused} pairs: {refused} refused." in as_markdown(found)


def test_ratings_without_texts_cannot_be_judged(tmp_path: Path, place: Environment) -> None:
    rows = [{"study": f"s{n}", "candidate": "c", "rater": "r", "errors": n} for n in range(4)]
    path = write_csv(tmp_path / "bare.csv", rows)
    with pytest.raises(InputError, match="found ratings without texts"):
        validate_metrics(Asked(path, ("offline-rules",)), place)
    found, _ = validate_metrics(Asked(path, resamples=20), place)
    assert (found.agreements, found.ceilings) == ((), ())


def test_the_files_say_the_same_and_hold_no_text(
    ratings: Path, place: Environment, tmp_path: Path
) -> None:
    found, judged = validate_metrics(Asked(ratings, ("offline-rules",), resamples=20), place)
    out = tmp_path / "a" / "b"
    write_validation(out, found, judged)
    assert sorted(path.name for path in out.iterdir()) == [
        "judged.parquet", "validation.json", "validation.md", "validation.svg",
    ]  # fmt: skip
    document = json.loads((out / "validation.json").read_text())
    assert document["agreements"][0]["metric"] == found.agreements[0].metric
    everything = "".join(path.read_text() for path in out.glob("validation.*"))
    assert "pneumothorax" not in everything
    assert "prediction" not in pq.read_schema(out / "judged.parquet").names
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        write_validation(tmp_path / "file", found, judged)


def test_recovery_is_written(place: Environment, tmp_path: Path) -> None:
    found = find_planted(("offline-rules",), 2, 0, place)
    write_recovery(tmp_path / "out", found)
    document = json.loads((tmp_path / "out" / "planted.json").read_text())
    assert len(document["cells"]) == 12
    assert (tmp_path / "out" / "planted.md").read_text().startswith("# Planted errors: 26 pairs")


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    out = capsys.readouterr()
    return int(caught.value.code or 0), out.out, out.err


def test_the_commands_print_tables_or_json(
    ratings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ("--data-root", tmp_path / "data")
    code, out, _ = said(
        capsys, "validate-metrics", ratings, "--judge", "offline-rules", "--resamples", 20, *root
    )
    assert code == 0
    assert out.startswith("# Metrics against raters: ratings.csv") and f"`{OFFLINE}`" in out
    code, out, _ = said(
        capsys, "validate-metrics", ratings, "--resamples", 20, "--json", "--out", tmp_path / "o"
    )
    assert (code, json.loads(out)["pairs"]) == (0, 24)
    assert (tmp_path / "o" / "validation.svg").is_file()
    code, out, _ = said(capsys, "plant-errors", "--per-cell", 2, "--json", *root)
    assert (code, json.loads(out)["pairs"]) == (0, 26)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("study,candidate\n", "without column 'rater'"),
        ("study,candidate,rater,errors\n", "no usable rating"),
    ],
)
def test_bad_ratings_are_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    code, out, err = said(capsys, "validate-metrics", path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: found ") and words in err


def test_an_unknown_source_of_texts_is_named(
    ratings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = said(capsys, "validate-metrics", ratings, "--texts-of", "nowhere")
    assert code == 2 and "nowhere" in err
