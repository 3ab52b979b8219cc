"""``cxr score``: any file of pairs to blocks; bad input is one line and exit code 2."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_world import Said, Say
from scores_world import EDEMA, EFFUSION, NODULE, NORMAL, TEXTS

from evaluation.blocks import ALL_BLOCKS, BLOCKS
from infra.errors import InputError
from infra.settings.sections import ScoreSettings
from tasks.score.pairs import pairs_as_predictions, read_pairs, score_pairs

ROWS = [
    {"reference": text, "prediction": told, "subject": f"p{place // 2}"}
    for place, (text, told) in enumerate(
        zip(TEXTS * 3, [NORMAL, EFFUSION, EDEMA, NORMAL] * 3, strict=True)
    )
]
SETTINGS = ScoreSettings(bootstrap_resamples=50, seed=3, judges=())


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


WRITERS: dict[str, Callable[[Path, Sequence[dict[str, Any]]], Path]] = {
    ".csv": write_csv,
    ".jsonl": write_jsonl,
    ".parquet": write_parquet,
}


@pytest.fixture
def say(cxr: Say, tmp_path: Path) -> Callable[..., Said]:
    """The command with a state folder of its own and few resamples."""

    def score(place: Path, *arguments: object) -> Said:
        root = tmp_path / "root"
        return cxr("score", place, "--data-root", root, "--resamples", 50, *arguments)

    return score


@pytest.mark.parametrize("ending", WRITERS)
def test_every_form_gives_the_same_scores(tmp_path: Path, ending: str) -> None:
    path = WRITERS[ending](tmp_path / f"pairs{ending}", ROWS)
    found = score_pairs(read_pairs(path), SETTINGS, list(BLOCKS.values()), "findings")
    plain = write_parquet(tmp_path / "plain.parquet", ROWS)
    expected = score_pairs(read_pairs(plain), SETTINGS, list(BLOCKS.values()), "findings")
    assert found.to_dict() == expected.to_dict()
    assert (found.studies, found.subjects) == (12, 6)
    assert found.score("rule14-micro-F1").interval.value is not None


def test_awkward_cells_survive_a_csv(tmp_path: Path) -> None:
    texts = ['Quoted "heart", normal.', "Two\nlines", "null", "NA", "1.5", "=1+1", "Ünïcode – é"]
    rows = [{"reference": text, "prediction": ""} for text in texts]
    path = write_csv(tmp_path / "pairs.csv", rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as spreadsheets write it
    table = read_pairs(path)
    assert table["reference"].to_pylist() == texts
    assert table["prediction"].to_pylist() == [""] * len(texts)


def test_keys_group_rows_and_gaps_stand_alone(tmp_path: Path) -> None:
    rows = [
        {"reference": NORMAL, "prediction": NORMAL, "subject": 7, "study": "s1", "source": "a"},
        {"reference": NODULE, "prediction": NORMAL, "subject": 7, "study": "s1", "source": "a"},
        {"reference": NORMAL, "prediction": None, "subject": None, "study": None, "source": None},
        {"reference": NORMAL, "prediction": NORMAL, "subject": None, "study": "s1", "source": "b"},
    ]
    pairs = read_pairs(write_parquet(tmp_path / "pairs.parquet", rows))
    found = score_pairs(pairs, SETTINGS, [], "impression")
    assert (found.studies, found.subjects) == (3, 3)
    assert found.systems["none"].empty == 1
    assert found.scores[0].signature.section == "impression"
    table = pairs_as_predictions(pairs)
    assert table["example_id"].to_pylist() == [f"{place:09}" for place in range(4)]


def test_the_command_prints_one_table_for_each_block(say: Say, tmp_path: Path) -> None:
    said = say(write_csv(tmp_path / "pairs.csv", ROWS))
    assert said.code == 0
    assert said.out.startswith("12 pairs, 0 with an empty prediction, 12 studies, 6 subjects\n")
    for block in BLOCKS.values():
        assert f"\n{block.name}: {block.title}\n" in said.out
    assert "profiles" not in said.out
    assert "unavailable: needs config.json, weights.th" in said.out


def test_the_same_file_scores_the_same_from_the_cache(say: Say, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "pairs.jsonl", ROWS)
    first = say(path, "--json")
    assert list((tmp_path / "root" / ".state" / "metric-cache").glob("*.sqlite"))
    assert say(path, "--json").out == first.out == say(path, "--json", "--no-cache").out
    assert [block["name"] for block in json.loads(first.out)["blocks"]] == list(BLOCKS)


def test_without_a_cache_nothing_is_written(say: Say, tmp_path: Path) -> None:
    assert say(write_csv(tmp_path / "pairs.csv", ROWS), "--no-cache").code == 0
    assert not (tmp_path / "root").exists()


def test_one_block_alone(say: Say, tmp_path: Path) -> None:
    said = say(write_csv(tmp_path / "pairs.csv", ROWS), "--block", "profiles", "--json")
    (block,) = json.loads(said.out)["blocks"]
    assert block["name"] == "profiles"
    assert {"CIDEr[coco-ptb]", "METEOR[coco-ptb]"} <= {row["metric"] for row in block["rows"]}


Bad = Callable[[Path], Path]


def text(name: str, content: str | bytes) -> Bad:
    def write(folder: Path) -> Path:
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)
        return folder / name

    return write


def rows(name: str, *given: dict[str, Any]) -> Bad:
    return lambda folder: WRITERS[Path(name).suffix](folder / name, given)


def write_bytes_as_text(path: Path) -> Path:
    """A column that says it is text and holds bytes that are none."""
    column = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"reference": ["a"], "prediction": column}), path)
    return path


BAD: list[tuple[str, Bad, str]] = [
    ("absent", lambda folder: folder / "no.csv", "found nothing at"),
    ("folder", lambda folder: folder, "found nothing at"),
    ("form", text("pairs.xlsx", "x"), "expected a .csv, .jsonl or .parquet file"),
    ("no parquet", text("pairs.parquet", "PAR1 but not"), "which cannot be read (ArrowInvalid)"),
    ("no head", text("pairs.csv", ""), "which cannot be read (ArrowInvalid)"),
    ("not UTF-8", text("pairs.csv", b"reference,prediction\n\xff\xfe,b\n"), "cannot be read"),
    ("ragged", text("pairs.csv", "reference,prediction\na,b\na,b,c\n"), "3 cells in row 3 of"),
    ("a quote that never ends", text("p.csv", 'reference,prediction\n"a,b\n'), "1 cells in row 2"),
    ("an endless name", text("p.csv", "x" * 200_000 + ",reference\n1,a\n"), "cannot be read"),
    (
        "half a letter",
        text("p.jsonl", '{"reference":"\\ud800","prediction":"b"}'),
        "cannot be read",
    ),
    (
        "an endless key",
        text("p.jsonl", f'{{"reference":"a","study":{"9" * 50}}}'),
        "cannot be read",
    ),
    ("no text", lambda folder: write_bytes_as_text(folder / "p.parquet"), "that are no text"),
    ("no column", text("pairs.csv", "reference,told\na,b\n"), "found no column 'prediction' in"),
    ("twice", text("p.csv", "reference,prediction,reference\na,b,c\n"), "'reference' twice in"),
    ("no row", text("pairs.csv", "reference,prediction\n"), "found no row in"),
    ("no object", text("pairs.jsonl", '{"reference":"a"}\n[1]\n'), "found line 2 of"),
    ("no JSON", text("pairs.jsonl", "reference\n"), "found line 1 of"),
    ("deep JSON", text("pairs.jsonl", "[" * 100_000), "found line 1 of"),
    (
        "numbers",
        rows("p.parquet", {"reference": 1, "prediction": "b"}),
        "found column 'reference' of",
    ),
    (
        "mixed",
        text("p.jsonl", '{"reference":"a","prediction":"b"}\n{"reference":1,"prediction":"b"}\n'),
        "cannot be read",
    ),
    (
        "a list as a key",
        rows("p.parquet", {"reference": "a", "prediction": "b", "subject": ["x"]}),
        "found column 'subject' of",
    ),
    (
        "no reference",
        rows(
            "p.csv",
            {"reference": "a", "prediction": "b"},
            {"reference": "  ", "prediction": "b"},
        ),
        "found pair 2 of",
    ),
    (
        "null reference",
        rows("p.parquet", {"reference": "a", "prediction": "b"}, {"prediction": "b"}),
        "found pair 2 of",
    ),
]


@pytest.mark.parametrize(("what", "write", "found"), BAD, ids=[what for what, _, _ in BAD])
def test_bad_input_is_one_line_and_ends_with_2(
    say: Say, tmp_path: Path, what: str, write: Bad, found: str
) -> None:
    said = say(write(tmp_path))
    assert said.code == 2, what
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("error: found ")
    assert found in said.err
    assert "expected" in said.err


def test_reports_of_a_megabyte_are_read(tmp_path: Path) -> None:
    rows = [{"subject": "p", "reference": "Edema. " * 300_000, "prediction": "None. " * 200_000}]
    long = [*rows, *ROWS]
    assert read_pairs(write_csv(tmp_path / "pairs.csv", long)).num_rows == len(long)


def test_a_seed_that_no_generator_takes_is_refused(say: Say, tmp_path: Path) -> None:
    place = write_csv(tmp_path / "pairs.csv", ROWS)
    for seed in (-1, 2**32):
        said = say(place, "--seed", seed)
        assert said.code == 2
        assert "for --seed" in said.err


def test_a_bad_file_is_not_quoted(tmp_path: Path) -> None:
    secret = "Mr Doe swallowed a ring"
    path = tmp_path / "pairs.csv"
    path.write_text(f"reference,prediction\n{secret},b,{secret}\n")
    with pytest.raises(InputError) as caught:
        read_pairs(path)
    assert "Doe" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_an_unknown_block_is_named(say: Say, tmp_path: Path) -> None:
    said = say(write_csv(tmp_path / "pairs.csv", ROWS), "--block", "maira")
    assert said.code == 2
    assert f"found block 'maira'; expected one of {', '.join(ALL_BLOCKS)}" in said.err
