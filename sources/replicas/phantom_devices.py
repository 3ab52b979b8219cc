"""Painters of tubes, lines, pacemakers and metal objects on a frontal chest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sources.replicas.phantom_canvas import Canvas, Curve, Layer, curve, smooth
from sources.replicas.phantom_findings import Painter
from sources.replicas.truth import TrueFinding

if TYPE_CHECKING:
    from sources.replicas.phantom_frontal import FrontalScene

PLASTIC = np.float32(0.24)
"""Attenuation added by the radio-opaque stripe of a tube or line."""

METAL = np.float32(1.05)
"""Metal stops everything: it sets the attenuation instead of adding to it."""


def _device(scene: FrontalScene, finding: TrueFinding, sign: int) -> Layer:
    painter = {
        "endotracheal tube": _endotracheal_tube,
        "central line": _central_line,
        "pacemaker": _pacemaker,
        "chest tube": _chest_tube,
    }[finding.kind or "central line"]
    return painter(scene, sign)


def _tube(scene: FrontalScene, path: Curve, width: float, strength: np.float32) -> Layer:
    """A tube with two bright walls; returns a mask wide enough to be seen."""
    layer = scene.canvas.lines([path], [width], [1.0])
    scene.image += layer * strength
    return scene.canvas.lines([path], [width + 0.012], [1.0])


def _endotracheal_tube(scene: FrontalScene, _: int) -> Layer:
    tip = scene.shape.heart_top - 0.075 - scene.rng.uniform(0.035, 0.06)
    middle = scene.shape.shift
    path = smooth(curve((0.02, -0.3), (0.012, 0.02), (0.5 * middle, 0.5 * tip), (middle, tip)))
    return _tube(scene, path, 0.013, PLASTIC)


def _central_line(scene: FrontalScene, sign: int) -> Layer:
    """From the subclavian vein over the clavicle into the superior vena cava, which is right."""
    shape = scene.shape
    start = shape.apex + 0.10
    cava = -0.042 + shape.shift
    turn = (sign * 0.06, shape.apex + 0.085) if sign > 0 else (-0.09, shape.apex + 0.07)
    tip = (cava - 0.006, shape.heart_top + scene.rng.uniform(0.0, 0.05))
    outer = (sign * (shape.width + 0.06), start + 0.11)
    path = smooth(
        curve(outer, (sign * 0.24, start - 0.01), turn, (cava, shape.apex + 0.17), tip), 40
    )
    return _tube(scene, path, 0.009, PLASTIC)


def _pacemaker(scene: FrontalScene, sign: int) -> Layer:
    canvas, shape, rng = scene.canvas, scene.shape, scene.rng
    x, y = sign * (0.78 * shape.width + rng.uniform(-0.02, 0.02)), shape.apex + 0.115
    body = canvas.oval(x, y, 0.048, 0.040)
    vein = (sign * 0.12, shape.apex + 0.07)
    cava = (-0.040 + shape.shift, shape.apex + 0.18)
    atrium = (-0.06 + shape.shift, shape.heart_top + 0.10)
    ventricle = (0.30 * shape.width + shape.shift, shape.dome[1] - 0.03)
    leads = [
        smooth(curve((x, y - 0.03), vein, cava, atrium, ventricle), 48),
        smooth(curve((x, y - 0.03), vein, cava, (atrium[0] - 0.012, atrium[1] - 0.01)), 40),
    ]
    wires = canvas.lines(leads, [0.007, 0.007], [1.0, 1.0])
    scene.image += wires * np.float32(0.26)
    scene.image += body * (np.float32(0.98) - scene.image)
    return np.maximum(body, canvas.lines(leads[:1], [0.016], [1.0]))


def _chest_tube(scene: FrontalScene, sign: int) -> Layer:
    shape = scene.shape
    entry = (sign * (shape.width + 0.10), shape.height_at(0.80))
    path = smooth(
        curve(
            entry, (sign * (shape.width - 0.02), shape.height_at(0.68)),
            (sign * (0.78 * shape.width), shape.height_at(0.42)),
            (sign * (0.45 * shape.width), shape.height_at(0.15)),
        ), 40,
    )  # fmt: skip
    return _tube(scene, path, 0.016, np.float32(0.21))


def _object(scene: FrontalScene, finding: TrueFinding, sign: int) -> Layer:
    canvas, rng, shape = scene.canvas, scene.rng, scene.shape
    if finding.kind == "necklace":
        mask, metal = _necklace(scene)
    else:
        x, y = scene.zone_centre(finding, sign)
        x += rng.uniform(-0.04, 0.04)
        mask, metal = _small_object(canvas, rng, finding.kind or "coin", x, y)
    scene.image += metal * np.clip(METAL - scene.image, 0, None)
    assert shape is scene.shape
    return mask


def _small_object(
    canvas: Canvas, rng: np.random.Generator, kind: str, x: float, y: float
) -> tuple[Layer, Layer]:
    if kind == "pin":
        aim = rng.uniform(0, np.pi)
        half = 0.055 * np.array([np.cos(aim), np.sin(aim)])
        middle = np.array([x, y])
        path = np.stack([middle - half, middle + half])
        head = canvas.disc(float(path[1, 0]), float(path[1, 1]), 0.009)
        metal = np.maximum(canvas.lines([path], [0.009], [1.0]), head)
        return canvas.lines([path], [0.02], [1.0]), metal
    if kind == "button":
        ring = canvas.disc(x, y, 0.027) - canvas.disc(x, y, 0.018)
        hole = canvas.disc(x - 0.006, y, 0.004) + canvas.disc(x + 0.006, y, 0.004)
        return canvas.disc(x, y, 0.028), np.clip(ring + 0.9 * hole, 0, 1)
    coin = canvas.disc(x, y, rng.uniform(0.028, 0.038))
    return coin, coin


def _necklace(scene: FrontalScene) -> tuple[Layer, Layer]:
    """A chain around the neck with a pendant."""
    canvas, shape = scene.canvas, scene.shape
    low = shape.apex + scene.rng.uniform(0.14, 0.22)
    chain = smooth(
        curve((-0.13, -0.02), (-0.09, 0.6 * low), (0.0, low), (0.09, 0.6 * low), (0.13, -0.02)), 60
    )
    links = [chain[i : i + 2] for i in range(0, 59, 2)]
    metal = canvas.lines(links, [0.008] * len(links), [1.0] * len(links))
    pendant = canvas.disc(0.0, low + 0.012, 0.014)
    return canvas.lines([chain], [0.03], [1.0]), np.maximum(metal, pendant)


DEVICE_PAINTERS: dict[str, Painter] = {"support device": _device, "foreign object": _object}
"""Painted last: nothing of the chest hides them."""
