"""A fingerprint of what a film shows, equal to the eye: near copies differ in few of its bits.

    grey ─▶ 64x64 averages ─▶ ranks (any monotone windowing drops out)
         ─▶ minus a blurred copy (the anatomy that all chests share drops out)
         ─▶ 24x24 averages ─▶ one bit each: brighter than its surroundings or not

Ordinary perceptual hashes keep the lowest frequencies, in which all frontal chests are alike; what
tells films apart lies in edges of ribs, vessels and devices, a few sixty-fourths of the side wide.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from sources.pixels_grey import Grey

_GRID_PX = 64
_SURROUND_SIGMA_PX = 1.5
_CELLS = 24
"""Grid, blur and cells: the best of 30 combinations tried. Coarser ones (32, 1.5, 16) put the
nearest distinct phantoms closer than the farthest copies; finer ones gain nothing for their bits.
"""

HASH_BYTES = _CELLS * _CELLS // 8
"""72 bytes, 576 bits."""

COPY_DISTANCE = 74
"""At most so many differing bits make two pictures near copies.

Measured through ``pixels.prepare`` with 112 px stored. 1,500 phantoms: the nearest distinct pair is
75 bits apart (0.5 % quantile 85), and 3,900 copies (JPEG at quality 50 to 75, half size, gamma 0.7
to 1.4, windows that cut up to 20 % of the range, and these together) at most 73. 96 NIH films: the
nearest pair is 156 bits apart, 99.6 % of 1,248 such copies are caught; windows that clip 30 % of
the range lose what a film shows, and 70 to 96 % of those are caught. The tests repeat a part.
"""


def perceptual_hash(grey: Grey) -> bytes:
    """HASH_BYTES bytes for a picture, uint8 [height, width] of any size."""
    averages = cv2.resize(
        grey.astype(np.float32), (_GRID_PX, _GRID_PX), interpolation=cv2.INTER_AREA
    )
    ranks = _ranks(np.asarray(averages))
    surround = cv2.GaussianBlur(ranks, (0, 0), _SURROUND_SIGMA_PX, borderType=cv2.BORDER_REFLECT)
    cells = cv2.resize(ranks - surround, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    return np.packbits(np.asarray(cells) > 0).tobytes()


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
