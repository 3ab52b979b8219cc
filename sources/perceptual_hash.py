"""A fingerprint of what a film shows, equal to the eye: near copies differ in few of its bits.

    grey ─▶ 64x64 averages ─▶ ranks (any monotone windowing drops out)
         ─▶ cosine transform ─▶ signs of 512 coefficients of middle frequency

Ordinary perceptual hashes keep the lowest frequencies, in which all frontal chests are alike; what
tells films apart lies in edges of ribs, vessels and devices, a few sixty-fourths of the side wide.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from sources.pixels_grey import Grey

_GRID_PX = 64
_LOWEST = 8
"""Half periods down plus half periods across of the first coefficient that counts. Of 20 hashes
tried (differences, low cosines, blurred surroundings, 128 to 1,024 bits) ranks with 512
coefficients from 8 on left most room between the farthest copies and the nearest distinct films."""

HASH_BYTES = 64
"""512 bits."""

COPY_DISTANCE = 72
"""At most so many differing bits make two pictures near copies.

Measured through ``pixels.read_grey`` at 112 and 256 px stored. 1,200 phantoms of 902 persons: the
nearest distinct pair is 74 bits apart (0.5 % quantile of a film's nearest 81). Copies (JPEG at
quality 30 to 75, half size, gamma 0.7 and 1.4, windows that clip up to 40 % of the pixels, and
these together): 99 % of each kind within 66. 96 NIH films: the nearest pair is 188 bits apart, and
99 % of each kind of copy is within 56; but windows that clip 40 % of the pixels hide 5 % of copies,
and those that clip half hide 24 %. docs/decisions/0004-leakage-guard.md has the table.
"""


def _middle_coefficients() -> npt.NDArray[np.int64]:
    """Places in the flattened transform, from low to high frequency, int64 [512]."""
    frequency = np.indices((_GRID_PX, _GRID_PX)).sum(axis=0).ravel()
    order = np.argsort(frequency, kind="stable")
    chosen: npt.NDArray[np.int64] = order[frequency[order] >= _LOWEST][: HASH_BYTES * 8]
    return chosen


_CHOSEN = _middle_coefficients()


def perceptual_hash(grey: Grey) -> bytes:
    """HASH_BYTES bytes for a picture, uint8 [height, width] of any size."""
    averages = cv2.resize(
        grey.astype(np.float32), (_GRID_PX, _GRID_PX), interpolation=cv2.INTER_AREA
    )
    coefficients = np.asarray(cv2.dct(_ranks(np.asarray(averages))))
    return np.packbits(coefficients.ravel()[_CHOSEN] > 0).tobytes()


def _ranks(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Mean rank of each value as a share of all, 0..1; equal values share theirs. Same shape."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    return (middle[place.ravel()] / values.size).astype(np.float32).reshape(values.shape)


def hash_distances(
    ours: npt.NDArray[np.uint8], theirs: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int32]:
    """Differing bits of every pair.

    Args:
        ours: hashes, uint8 [n, HASH_BYTES].
        theirs: hashes, uint8 [m, HASH_BYTES].

    Returns:
        int32 [n, m], each 0 to 8 * HASH_BYTES.
    """
    left = np.ascontiguousarray(ours).view(np.uint64)
    right = np.ascontiguousarray(theirs).view(np.uint64)
    distances = np.zeros((len(left), len(right)), dtype=np.int32)
    for word in range(left.shape[1]):
        distances += np.bitwise_count(left[:, word, None] ^ right[None, :, word])
    return distances
