"""The cache of counts: right, shared, bounded, and of no harm when it is damaged."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from evaluation.families import FAMILIES, LABELS
from evaluation.metric_cache import CACHE_FOLDER, MetricCache, pair_key
from evaluation.statistics import Floats
from infra.log import LOGGER

REFERENCES = [f"Reference {i}. The lungs are clear." for i in range(20)]
PREDICTIONS = [f"Prediction {i}. The lungs are clear." for i in range(20)]


class Counter:
    """Counts lengths, and remembers how many pairs it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, references: Sequence[str], predictions: Sequence[str]) -> Floats:
        self.asked.append(len(references))
        rows = [[len(a), len(b)] for a, b in zip(references, predictions, strict=True)]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)


def ask(
    cache: MetricCache,
    counter: Counter,
    references: Sequence[str] = REFERENCES,
    predictions: Sequence[str] = PREDICTIONS,
    version: str = "1",
) -> Floats:
    return cache.counts("lengths", version, 2, (references, predictions), counter)


EXPECTED = Counter()(REFERENCES, PREDICTIONS)


@pytest.fixture
def cache(tmp_path: Path) -> MetricCache:
    return MetricCache.in_state(tmp_path)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    LOGGER.addHandler(caplog.handler)
    with caplog.at_level(logging.WARNING, logger=LOGGER.name):
        yield caplog
    LOGGER.removeHandler(caplog.handler)


def only_file(cache: MetricCache) -> Path:
    (path,) = cache.files()
    return path


def test_a_pair_is_counted_once(cache: MetricCache) -> None:
    counter = Counter()
    assert np.array_equal(ask(cache, counter), EXPECTED)
    assert np.array_equal(ask(cache, counter), EXPECTED)
    assert counter.asked == [20]


def test_only_new_pairs_are_counted_and_order_is_kept(cache: MetricCache) -> None:
    counter = Counter()
    ask(cache, counter, REFERENCES[:12], PREDICTIONS[:12])
    mixed = list(reversed(range(20)))
    found = ask(cache, counter, [REFERENCES[i] for i in mixed], [PREDICTIONS[i] for i in mixed])
    assert np.array_equal(found, EXPECTED[mixed])
    assert counter.asked == [12, 8]


def test_equal_pairs_are_counted_once_even_in_one_call(cache: MetricCache) -> None:
    counter = Counter()
    assert ask(cache, counter, ["a"] * 5, ["bb"] * 5).tolist() == [[1, 2]] * 5
    assert counter.asked == [1]


def test_another_version_or_family_is_another_file(cache: MetricCache) -> None:
    counter = Counter()
    ask(cache, counter)
    ask(cache, counter, version="2")
    cache.counts("other", "1", 2, (REFERENCES, PREDICTIONS), counter)
    assert counter.asked == [20, 20, 20]
    names = [path.name for path in cache.files()]
    assert names == ["lengths-1.sqlite", "lengths-2.sqlite", "other-1.sqlite"]


def test_no_pair_at_all(cache: MetricCache) -> None:
    assert ask(cache, Counter(), [], []).shape == (0, 2)
    assert cache.files() == []


def test_keys_tell_apart_texts_that_join_alike() -> None:
    keys = {pair_key("ab", "c"), pair_key("a", "bc"), pair_key("", "abc"), pair_key("abc", "")}
    assert len(keys) == 4
    assert pair_key("\ud800", "x") != pair_key("?", "x")


def test_no_text_is_stored_and_the_owner_alone_reads(cache: MetricCache) -> None:
    ask(cache, Counter())
    assert b"clear" not in only_file(cache).read_bytes()
    assert only_file(cache).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["garbage", "empty", "cut", "other table"])
def test_a_damaged_file_is_made_anew(
    cache: MetricCache, logged: pytest.LogCaptureFixture, damage: str
) -> None:
    ask(cache, Counter())
    path = only_file(cache)
    if damage == "garbage":
        path.write_bytes(b"no database at all, but long enough to be one" * 100)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:4096])
    else:
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE counts (x)")
        connection.close()
    counter = Counter()
    assert np.array_equal(ask(cache, counter), EXPECTED)
    assert counter.asked == [20]
    if damage != "empty":
        assert "lengths-1.sqlite is damaged and is made anew" in logged.text
    assert np.array_equal(ask(cache, counter), EXPECTED)
    assert counter.asked == [20], "the file made anew holds the rows"


def test_a_damaged_row_is_counted_anew(
    cache: MetricCache, logged: pytest.LogCaptureFixture
) -> None:
    ask(cache, Counter())
    with sqlite3.connect(only_file(cache)) as connection:
        connection.execute("UPDATE counts SET row = zeroblob(16) WHERE id = 3")
        connection.execute("UPDATE counts SET row = 'text' WHERE id = 5")
        connection.execute("UPDATE counts SET row = zeroblob(8) WHERE id = 7")
    connection.close()
    counter = Counter()
    assert np.array_equal(ask(cache, counter), EXPECTED)
    assert counter.asked == [3]
    assert "3 damaged rows of lengths-1.sqlite are counted anew" in logged.text
    assert np.array_equal(ask(cache, counter), EXPECTED)
    assert counter.asked == [3]


def test_every_flipped_byte_is_noticed_or_harmless(cache: MetricCache) -> None:
    """No damage to any byte of the file changes a count."""
    ask(cache, Counter())
    path = only_file(cache)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for place in random.choice(len(whole), size=150, replace=False):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        assert np.array_equal(ask(cache, Counter()), EXPECTED), place


def test_a_place_that_cannot_be_written_costs_no_score(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    (tmp_path / CACHE_FOLDER).write_text("a file where the folder should be")
    assert np.array_equal(ask(MetricCache.in_state(tmp_path), Counter()), EXPECTED)
    assert "cannot be written" in logged.text


def test_a_lock_that_is_never_let_go_costs_no_score(
    cache: MetricCache, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluation.metric_cache.BUSY_SECONDS", 0.05)
    ask(cache, Counter(), REFERENCES[:5], PREDICTIONS[:5])
    holder = sqlite3.connect(only_file(cache), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert np.array_equal(ask(cache, Counter()), EXPECTED)
    assert "locked" in logged.text
    assert cache.damaged() == []
    holder.execute("ROLLBACK")
    holder.close()
    counter = Counter()
    ask(cache, counter)
    assert counter.asked == [15], "what was stored before is still there"


def fill(place: str, number: int) -> bool:
    cache = MetricCache.in_state(Path(place))
    texts = [f"{number % 2} {i}" for i in range(300)]
    expected = Counter()(texts, texts)
    return all(np.array_equal(ask(cache, Counter(), texts, texts), expected) for _ in range(3))


def test_several_processes_share_one_file(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3) as pool:
        assert all(pool.map(fill, [str(tmp_path)] * 6, range(6)))
    cache, counter = MetricCache.in_state(tmp_path), Counter()
    texts = [f"{side} {i}" for side in (0, 1) for i in range(300)]
    ask(cache, counter, texts, texts)
    assert counter.asked == []
    assert cache.damaged() == []


WRITER = """
import sys
from pathlib import Path
import numpy as np
from evaluation.metric_cache import MetricCache
cache = MetricCache.in_state(Path(sys.argv[1]))
def count(one, other):
    return np.array([[len(a), len(b)] for a, b in zip(one, other)], dtype=float).reshape(-1, 2)
for turn in range(10**6):
    texts = [f"{turn} {i}" for i in range(200)]
    cache.counts("lengths", "1", 2, (texts, texts), count)
    print(turn, flush=True)
"""


def test_a_killed_writer_leaves_whole_turns(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    assert child.stdout is not None
    while int(child.stdout.readline()) < 3:
        pass
    time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    cache = MetricCache.in_state(tmp_path)
    assert cache.damaged() == []
    for turn in range(3):
        counter, texts = Counter(), [f"{turn} {i}" for i in range(200)]
        assert ask(cache, counter, texts, texts)[:, 0].tolist() == [len(text) for text in texts]
        assert counter.asked == []


def test_the_folder_stays_under_its_bound(tmp_path: Path) -> None:
    cache = MetricCache(tmp_path, largest_bytes=300_000)
    counter = Counter()
    for version in range(6):
        texts = [f"{version} {i}" for i in range(1000)]
        ask(cache, counter, texts, texts, version=str(version))
        os.utime(tmp_path / f"lengths-{version}.sqlite", (version, version))
    sizes = [path.stat().st_size for path in cache.files()]
    assert sum(sizes) <= 300_000 + max(sizes)
    assert [path.name for path in cache.files()][-1] == "lengths-5.sqlite"
    assert "lengths-0.sqlite" not in [path.name for path in cache.files()]


def test_one_file_alone_loses_its_oldest_rows(tmp_path: Path) -> None:
    cache, counter = MetricCache(tmp_path, largest_bytes=150_000), Counter()
    for turn in range(6):
        texts = [f"{turn} {i}" for i in range(500)]
        ask(cache, counter, texts, texts)
    asked = list(counter.asked)
    newest = [f"5 {i}" for i in range(500)]
    assert np.array_equal(ask(cache, counter, newest, newest), Counter()(newest, newest))
    assert counter.asked == asked, "the newest rows are kept"
    assert only_file(cache).stat().st_size <= 150_000


def test_forgetting_removes_the_named_files_alone(cache: MetricCache) -> None:
    ask(cache, Counter())
    ask(cache, Counter(), version="2")
    (cache.folder / "lengths-1.sqlite").write_bytes(b"x" * 5000)
    assert cache.damaged() == ["lengths-1.sqlite"]
    cache.forget(cache.damaged())
    assert [path.name for path in cache.files()] == ["lengths-2.sqlite"]


@pytest.mark.parametrize("name", [*FAMILIES, "rule14"])
def test_every_family_gives_the_same_from_the_cache(cache: MetricCache, name: str) -> None:
    family = FAMILIES.get(name, LABELS)
    references = ["The heart is normal.", "Small left pleural effusion.", "No pneumothorax."]
    told = ["Heart size is normal.", "", "No pneumothorax."]
    plain = family.of(references, told, None)
    assert plain.shape == (3, family.width)
    assert np.array_equal(family.of(references, told, cache), plain)
    assert np.array_equal(family.of(references, told, cache), plain)
    assert len(cache.files()) == 1


def test_ciders_weights_are_those_of_its_own_set(cache: MetricCache) -> None:
    """Another reference changes the weights of all, so nothing of the first set may be reused."""
    family = FAMILIES["cider-d coco-split-lower"]
    references, told = ["a b c d", "e f g h"], ["a b c x", "e f g h"]
    first = family.of(references, told, cache)
    wider = family.of([*references, "a b c d"], [*told, "a b"], cache)
    assert np.array_equal(wider, family.of([*references, "a b c d"], [*told, "a b"], None))
    assert not np.array_equal(wider[:2], first)
    part = family.of(references[:1], told[:1], cache, references)
    assert np.array_equal(part, first[:1])
    half = family.of(references, ["a b c x", "e f"], cache)
    assert np.array_equal(half, family.of(references, ["a b c x", "e f"], None))
