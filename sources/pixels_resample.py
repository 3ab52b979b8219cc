"""Scaling of grey pictures by two exact separable filters, as products with sparse matrices.

Each output pixel is a weighted mean of the input pixels under its filter, so that shrinking
averages instead of skipping. As sparse products this takes a quarter of the time of OpenCV's area
filter and half of Pillow's bicubic on float32 (measured), and a picture that fills its last pixels
only in part needs no special case.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from infra.settings.sections import ImageSettings
from sources.pixels_grey import Samples

cv2.setNumThreads(1)  # pieces are spread over processes; threads inside one would only compete

_CUBIC_A = -0.5
"""Keys' cubic, as Pillow and hence the image processors of BiomedCLIP and CLIP have it."""


@dataclass(frozen=True)
class Placement:
    """How a decoder's reduced picture lies on its samples.

    Args:
        width, height: samples that the picture fills; decoders round up to whole ones.
        shift: how far, in samples, each lies above and left of the middle of what it stands for.
    """

    width: float
    height: float
    shift: float = 0.0


def resample(
    samples: Samples,
    size: tuple[int, int],
    settings: ImageSettings,
    placement: Placement | None = None,
) -> Samples:
    """Scale to ``size`` (width, height); uint8 stays uint8, other types become float32.

    Area weighs each input pixel by its overlap (linear interpolation where it enlarges), bicubic is
    Keys' cubic widened by the scale. Results stay inside the range of the input.
    """
    height, width = samples.shape
    if placement is None or placement == Placement(width, height):
        if (width, height) == size:
            return samples if samples.dtype == np.uint8 else samples.astype(np.float32)
        samples = _halve(samples, size)
        height, width = samples.shape
        placement = Placement(width, height)
    method, shift = settings.resample, placement.shift
    columns = _weights(width, placement.width, shift, size[0], method)
    rows = _weights(height, placement.height, shift, size[1], method)
    scaled = (columns @ (rows @ samples.astype(np.float32)).T).T
    scaled = np.clip(scaled, samples.min(), samples.max())
    if samples.dtype == np.uint8:
        return np.asarray(np.ascontiguousarray(scaled + 0.5).astype(np.uint8))
    return np.asarray(np.ascontiguousarray(scaled))


def _halve(samples: Samples, size: tuple[int, int]) -> Samples:
    """Average 2x2 blocks while the result stays at least twice ``size`` (width, height).

    The final filter still covers two samples a pixel; a film then differs by less than half a grey
    level on average from one pass over all its pixels (measured).
    """
    while samples.shape[1] >= 4 * size[0] and samples.shape[0] >= 4 * size[1]:
        height, width = samples.shape[0] // 2, samples.shape[1] // 2
        even = samples[: 2 * height, : 2 * width]
        samples = np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA))
    return samples


@lru_cache(maxsize=256)
def _weights(count: int, extent: float, shift: float, size: int, method: str) -> csr_array[Any]:
    """Weights, float32 [size, count], that scale the first ``extent`` of ``count`` samples."""
    scale = extent / size
    reach = max(scale, 1.0) * (0.5 if method == "area" else 2.0)
    centers = (np.arange(size)[:, None] + 0.5) * scale + shift
    first = np.floor(centers - reach).astype(np.int64)
    places = first + np.arange(int(np.ceil(2 * reach)) + 1)
    if method == "area":
        ends = np.minimum(np.minimum(places + 1, centers + reach), extent + shift)
        weights = np.clip(ends - np.maximum(places, centers - reach), 0.0, None)
    else:
        weights = _cubic((places + 0.5 - centers) / max(scale, 1.0))
    weights = np.where((places >= 0) & (places < count), weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    owners = np.broadcast_to(np.arange(size)[:, None], places.shape)
    used = weights != 0.0
    return csr_array(
        (weights[used].astype(np.float32), (owners[used], places[used])), shape=(size, count)
    )


def _cubic(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys' cubic kernel; same shape."""
    x = np.abs(distance)
    near = ((_CUBIC_A + 2) * x - (_CUBIC_A + 3)) * x * x + 1
    far = _CUBIC_A * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
