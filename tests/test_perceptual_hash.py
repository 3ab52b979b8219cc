"""Near copies differ in few bits, distinct films in many; the guard's own test holds its bars."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pixel_samples import dicom, eight_bit, film, jpeg, png

from infra.settings.sections import ImageSettings
from sources.perceptual_hash import COPY_DISTANCE, HASH_BYTES, hash_distances, perceptual_hash
from sources.pixels import prepare
from sources.pixels_grey import Grey
from sources.record import View
from sources.replicas.phantom import draw
from sources.replicas.truth import ReplicaSpec, draw_cohort

STORED = ImageSettings(short_side_px=112, smallest_side_px=64)


def phantoms(count: int, seed: int = 3) -> list[Grey]:
    """Frontal films of ``count`` persons, uint8, 256 px."""
    cohort = draw_cohort(ReplicaSpec(studies=count, seed=seed), "hash")
    films = (draw(truth, View.PA, 256).pixels for truth in cohort)
    return [np.asarray(np.rint(np.clip(one, 0, 1) * 255), np.uint8) for one in films]


def hashes(files: list[bytes]) -> np.ndarray:
    """uint8 [n, HASH_BYTES] through the door that ingest uses."""
    joined = b"".join(prepare(data, STORED).perceptual_hash for data in files)
    return np.frombuffer(joined, np.uint8).reshape(len(files), HASH_BYTES)


def halved(grey: Grey) -> Grey:
    size = (grey.shape[1] // 2, grey.shape[0] // 2)
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC))


def windowed(grey: Grey, low: float, high: float) -> Grey:
    return np.asarray(np.clip((grey / 255 - low) / (high - low), 0, 1) * 255 + 0.5, np.uint8)


def curved(grey: Grey, gamma: float) -> Grey:
    return np.asarray((grey / 255) ** gamma * 255 + 0.5, np.uint8)


COPIES: dict[str, Callable[[Grey], bytes]] = {
    "quality 50": lambda grey: jpeg(grey, 50),
    "quality 75": lambda grey: jpeg(grey, 75),
    "half": lambda grey: png(halved(grey)),
    "half, quality 75": lambda grey: jpeg(halved(grey), 75),
    "every other pixel": lambda grey: png(np.ascontiguousarray(grey[::2, ::2])),
    "gamma 0.7": lambda grey: png(curved(grey, 0.7)),
    "gamma 1.4": lambda grey: png(curved(grey, 1.4)),
    "10 % cut at both ends": lambda grey: png(windowed(grey, 0.1, 0.9)),
    "20 % cut of the darks": lambda grey: png(windowed(grey, 0.2, 1.0)),
    "window, half, quality 60": lambda grey: jpeg(halved(windowed(grey, 0.1, 0.9)), 60),
}


@pytest.fixture(scope="module")
def films() -> list[Grey]:
    return phantoms(60)


@pytest.mark.parametrize("name", COPIES)
def test_copies_of_phantoms_are_caught(name: str, films: list[Grey]) -> None:
    originals = hashes([png(grey) for grey in films])
    copies = hashes([COPIES[name](grey) for grey in films])
    distances = np.diag(hash_distances(originals, copies))
    assert (distances <= COPY_DISTANCE).mean() >= 0.95


def test_distinct_phantoms_are_not_taken_for_copies(films: list[Grey]) -> None:
    found = hashes([png(grey) for grey in films])
    distances = hash_distances(found, found) + 10_000 * np.eye(len(films), dtype=np.int32)
    assert int(distances.min()) > COPY_DISTANCE


@pytest.mark.slow
def test_the_measured_rates_on_1500_phantoms() -> None:
    many = phantoms(1500, seed=0)
    found = hashes([png(grey) for grey in many])
    distances = hash_distances(found, found) + 10_000 * np.eye(len(many), dtype=np.int32)
    taken = float((distances.min(axis=1) <= COPY_DISTANCE).mean())
    assert taken <= 0.005, f"{taken:.2%} of distinct phantoms are taken for copies"
    caught = [
        np.diag(hash_distances(found[:300], hashes([copy(grey) for grey in many[:300]])))
        <= COPY_DISTANCE
        for copy in COPIES.values()
    ]
    assert float(np.mean(caught)) >= 0.99


@pytest.mark.slow
@pytest.mark.public_data
def test_real_films(public_data: Path) -> None:
    paths = sorted((public_data / "nih_cxr14" / "images").iterdir())[:24]
    films = [np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("L")) for path in paths]
    found = hashes([png(grey) for grey in films])
    distances = hash_distances(found, found) + 10_000 * np.eye(len(films), dtype=np.int32)
    assert int(distances.min()) > 2 * COPY_DISTANCE
    caught = [
        np.diag(hash_distances(found, hashes([copy(grey) for grey in films]))) <= COPY_DISTANCE
        for copy in COPIES.values()
    ]
    assert float(np.mean(caught)) >= 0.98  # windows on absolute levels hide a film or two


def test_the_format_of_the_file_does_not_matter() -> None:
    """A 16-bit DICOM, its 8-bit PNG and a JPEG of it are near copies."""
    pixels = film(600, 480)
    grey = eight_bit(pixels)
    found = hashes([dicom(pixels), png(pixels), png(grey), jpeg(grey, 90)])
    assert int(hash_distances(found, found).max()) <= COPY_DISTANCE // 2


def test_any_monotone_change_of_grey_keeps_the_hash() -> None:
    grey = eight_bit(film(64, 64)) // 2
    squared = np.asarray((grey.astype(float) / 127) ** 2 * 255, np.uint8)
    shifted = np.asarray(grey + 100, np.uint8)
    assert perceptual_hash(shifted) == perceptual_hash(grey)
    one, other = (np.frombuffer(perceptual_hash(g), np.uint8)[None] for g in (grey, squared))
    assert int(hash_distances(one, other)[0, 0]) <= COPY_DISTANCE


@pytest.mark.parametrize("shape", [(16, 16), (64, 64), (112, 137), (900, 600)])
def test_every_size_gives_a_whole_hash(shape: tuple[int, int]) -> None:
    grey = cv2.resize(eight_bit(film()), shape[::-1], interpolation=cv2.INTER_AREA)
    assert len(perceptual_hash(np.asarray(grey, np.uint8))) == HASH_BYTES
    assert perceptual_hash(np.zeros(shape, np.uint8)) == b"\0" * HASH_BYTES


@settings(max_examples=50, deadline=None, database=None)
@given(st.lists(st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES), min_size=1, max_size=5))
def test_distances_count_differing_bits(values: list[bytes]) -> None:
    array = np.frombuffer(b"".join(values), np.uint8).reshape(len(values), HASH_BYTES)
    expected = [
        [
            (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()
            for other in values
        ]
        for one in values
    ]
    found = hash_distances(array, array)
    assert found.dtype == np.int32
    assert found.tolist() == expected
