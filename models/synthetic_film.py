"""A film of nobody: what a registered model shows as its example, and a server warms up with."""

from __future__ import annotations

import cv2
import numpy as np

EXAMPLE_SIDE_PX = 256  # our choice: small, yet above the smallest side a recipe accepts


def synthetic_film() -> bytes:
    """A PNG of two dark ovals on a bright ground: a chest to no one, and no person's."""
    rows, columns = np.mgrid[-1 : 1 : EXAMPLE_SIDE_PX * 1j, -1 : 1 : EXAMPLE_SIDE_PX * 1j]
    film = 170 + 40 * rows
    for centre in (-0.45, 0.45):
        film[((columns - centre) / 0.33) ** 2 + (rows / 0.7) ** 2 < 1] -= 110
    return bytes(cv2.imencode(".png", np.clip(film, 0, 255).astype(np.uint8))[1])
