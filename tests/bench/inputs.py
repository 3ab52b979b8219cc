"""Full-size films for the benchmarks, drawn once: JPEG and 16-bit DICOM of 3056 x 2544 px."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sources.record import View
from sources.replicas.phantom import draw
from sources.replicas.truth import ReplicaSpec, draw_cohort
from tests.pixel_samples import dicom, jpeg

FILMS = 12
HEIGHT, WIDTH = 3056, 2544
JPEG_QUALITY = 95
JPEG_BYTES = 1_510_000
"""Mean file of MIMIC-CXR-JPG, which is also of quality 95: 570.3 GB over 377,110 films."""


def write_films(folder: Path) -> None:
    """Write ``NN.jpg`` and ``NN.dcm`` unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    if len(list(folder.glob("*.dcm"))) == FILMS:
        return
    for number, truth in enumerate(draw_cohort(ReplicaSpec(studies=FILMS, seed=7), "bench")):
        small = draw(truth, View.PA, WIDTH // 4, WIDTH / HEIGHT).pixels
        clean = cv2.resize(np.asarray(small), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        film = _with_grain(np.asarray(clean), number)
        (folder / f"{number:02d}.jpg").write_bytes(jpeg(_levels(film), JPEG_QUALITY))
        deep = np.asarray(np.rint((1.0 - film.clip(0, 1)) * 65_535), dtype=np.uint16)
        (folder / f"{number:02d}.dcm").write_bytes(
            dicom(
                deep,
                bits=16,
                PhotometricInterpretation="MONOCHROME1",
                WindowCenter=32_768,
                WindowWidth=60_000,
            )
        )


def _levels(film: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.asarray(np.clip(film * 255 + 0.5, 0, 255).astype(np.uint8))


def _with_grain(film: npt.NDArray[np.float32], seed: int) -> npt.NDArray[np.float32]:
    """The film with as much white noise as makes its JPEG as large as a real one (bisection)."""
    noise = np.random.default_rng(seed).normal(0, 1, film.shape).astype(np.float32)
    low, high = 0.0, 0.04
    for _ in range(7):
        middle = (low + high) / 2
        too_large = len(jpeg(_levels(film + middle * noise), JPEG_QUALITY)) > JPEG_BYTES
        low, high = (low, middle) if too_large else (middle, high)
    return np.asarray(film + low * noise, dtype=np.float32)
