"""Backfills: what is chosen, what is built again, and that all else stays as it is."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from raw_world import PIECES, edit_report, look, payload, write_raw

from infra.artifact import Artifact
from infra.errors import InputError
from infra.step import made_again
from tasks.backfill.work import Backfill, chosen_shards, chosen_sources, days_of, pieces_again
from tasks.context import Context
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies

KEYS = tuple(f"p{number:04d}" for number in range(PIECES))


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raw("mimic_cxr", tmp_path_factory.mktemp("backfill") / "raw")


def ingested(context: Context) -> tuple[Artifact, Artifact]:
    return ingest_studies(context, "mimic_cxr"), ingest_images(context, "mimic_cxr")


def days_in(studies: Artifact) -> dict[str, set[date]]:
    from tasks.backfill.work import _taken

    return {key: set(_taken(studies, key)) for key in KEYS}


def test_only_the_chosen_shard_is_built_again_and_no_byte_changes(
    raw: Path, tmp_path: Path
) -> None:
    context = look(tmp_path / "data", {"mimic_cxr": raw})
    studies, images = ingested(context)
    before = payload(tmp_path / "data" / "images")
    assert set(studies.built) == set(KEYS)
    with made_again(pieces_again({"mimic_cxr": ("p0001",)})):
        again = ingested(context)
    assert [artifact.built for artifact in again] == [("p0001",), ("p0001",)]
    assert again[0].reason == "asked again: p0001"
    assert [artifact.counts for artifact in again] == [studies.counts, images.counts]
    for count in again[1].counts:
        assert count.rows_in == count.kept + sum(count.rejected.values())
    after = payload(tmp_path / "data" / "images")
    assert {name: digest for name, digest in after.items() if name.endswith(".parquet")} == {
        name: digest for name, digest in before.items() if name.endswith(".parquet")
    }
    assert all(artifact.cached for artifact in ingested(context))


def test_a_film_that_changed_under_its_old_size_and_time_is_found_by_again_alone(
    raw: Path, tmp_path: Path
) -> None:
    import os
    import shutil

    own = tmp_path / "raw"
    shutil.copytree(raw, own)
    context = look(tmp_path / "data", {"mimic_cxr": own})
    _, images = ingested(context)
    film = sorted(own.rglob("*.jpg"))[0]
    status = film.stat()
    film.write_bytes(bytes(status.st_size))
    os.utime(film, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert ingested(context)[1].cached
    with made_again(pieces_again({"mimic_cxr": KEYS})):
        again = ingested(context)[1]
    lost = {count.unit: count.kept for count in images.counts}
    assert {count.unit: count.kept for count in again.counts} == {"images": lost["images"] - 1}
    assert sum(again.counts[0].rejected.values()) == 1 + sum(images.counts[0].rejected.values())


def test_with_nothing_chosen_again_nothing_is_built(raw: Path, tmp_path: Path) -> None:
    context = look(tmp_path / "data", {"mimic_cxr": raw})
    ingested(context)
    with made_again({}):
        assert all(artifact.cached for artifact in ingested(context))
    with made_again(pieces_again({"mimic_cxr": ()})):
        assert all(artifact.cached for artifact in ingested(context))


def test_what_changed_is_built_without_being_asked_again(raw: Path, tmp_path: Path) -> None:
    import shutil

    own = tmp_path / "raw"
    shutil.copytree(raw, own)
    ingested(look(tmp_path / "data", {"mimic_cxr": own}))
    edit_report(own)
    studies, images = ingested(look(tmp_path / "data", {"mimic_cxr": own}))
    assert len(studies.built) == 1
    assert not set(images.built) & set(KEYS)


def test_shards_are_chosen_by_name_by_day_and_by_both(raw: Path, tmp_path: Path) -> None:
    studies, _ = ingested(look(tmp_path / "data", {"mimic_cxr": raw}))
    assert chosen_shards(studies, Backfill()) == KEYS
    assert chosen_shards(studies, Backfill(shards=("p0002",))) == ("p0002",)
    days = days_in(studies)
    middle = sorted(set().union(*days.values()))[-1]
    late = tuple(key for key in KEYS if any(day >= middle for day in days[key]))
    assert chosen_shards(studies, Backfill(since=middle.isoformat())) == late
    assert len(late) < PIECES
    early = tuple(key for key in KEYS if any(day < middle for day in days[key]))
    assert chosen_shards(studies, Backfill(before=middle.isoformat())) == early
    both = Backfill(since=middle.isoformat(), shards=KEYS[:1])
    assert chosen_shards(studies, both) == tuple(key for key in late if key == KEYS[0])
    assert chosen_shards(studies, Backfill(before="1000-01-01")) == ()


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (Backfill(shards=("p9999",)), "found shard 'p9999' of mimic_cxr; expected one of p0000"),
        (Backfill(shards=("../x",)), "found shard '../x' of mimic_cxr"),
        (Backfill(since="yesterday"), "found since 'yesterday'; expected a day such as"),
        (Backfill(since="2020-01-02", before="2020-01-02"), "a first day and a later one"),
    ],
)
def test_a_wrong_choice_is_one_line(raw: Path, tmp_path: Path, asked: Backfill, line: str) -> None:
    context = look(tmp_path / "data", {"mimic_cxr": raw})
    with pytest.raises(InputError, match=line):
        chosen_shards(ingest_studies(context, "mimic_cxr"), asked)


def test_sources_are_those_of_the_run_in_its_order(raw: Path, tmp_path: Path) -> None:
    context = look(tmp_path / "data", {"mimic_cxr": raw})
    assert chosen_sources(context, Backfill()) == ("mimic_cxr",)
    with pytest.raises(InputError, match="source 'brax', which this run does not have"):
        chosen_sources(context, Backfill(only=("brax",)))


def test_a_source_without_days_says_so(tmp_path: Path) -> None:
    root = write_raw("object_cxr", tmp_path / "raw")
    context = look(tmp_path / "data", {"object_cxr": root})
    studies = ingest_studies(context, "object_cxr")
    with pytest.raises(InputError, match="dates asked of object_cxr, which tells none"):
        chosen_shards(studies, Backfill(since="2015-01-01"))


def test_no_bound_is_no_day() -> None:
    assert not days_of(Backfill())
    assert days_of(Backfill(before="2020-01-01"))
