"""Where a box of the published image lies on what the model sees: the one geometry of this house.

    published px ─▶ stored px (short side resized) ─▶ short side to the model's ─▶ centre crop

Boxes come in pixels of the published image and leave in shares of the crop's side, so that maps of
any grid, overlays and served pages can use them. ``models.shards.to_model_size`` does the same to
pixels; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rectangle:
    """An axis-aligned rectangle: x right, y down, the maxima exclusive; units are the caller's."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    @property
    def area(self) -> float:
        """In square units; 0 where it is empty."""
        return max(0.0, self.x_max - self.x_min) * max(0.0, self.y_max - self.y_min)

    def clipped(self) -> Rectangle:
        """What of it lies in the unit square; empty rectangles keep their place at its border."""
        low_x, high_x = (min(max(value, 0.0), 1.0) for value in (self.x_min, self.x_max))
        low_y, high_y = (min(max(value, 0.0), 1.0) for value in (self.y_min, self.y_max))
        return Rectangle(low_x, low_y, high_x, high_y)

    def grown(self, margin: float) -> Rectangle:
        """With ``margin`` added on every side."""
        return Rectangle(
            self.x_min - margin, self.y_min - margin, self.x_max + margin, self.y_max + margin
        )


def of_short_side(width: int, height: int, short_px: int) -> tuple[int, int]:
    """(width, height) in px with that short side; the long one is cut to whole px, never rounded.

    So do torchvision and open_clip, with which the released model was trained.
    """
    if width <= height:
        return short_px, short_px * height // width
    return short_px * width // height, short_px


@dataclass(frozen=True)
class Crop:
    """From published px to the model's px: ``x * scale_x - left``, ``y * scale_y - top``.

    ``side_px`` is the side of the square that the model sees.
    """

    scale_x: float
    scale_y: float
    left: int
    top: int
    side_px: int

    @classmethod
    def of(cls, published: tuple[int, int], stored: tuple[int, int], side_px: int) -> Crop:
        """The crop of an image from its published and its stored width and height in px.

        Only the stored size decides how the model's size is rounded.
        """
        resized_width, resized_height = of_short_side(*stored, side_px)
        return cls(
            scale_x=resized_width / published[0],
            scale_y=resized_height / published[1],
            left=margin(resized_width, side_px),
            top=margin(resized_height, side_px),
            side_px=side_px,
        )

    def place(self, box: Rectangle) -> Rectangle:
        """A box of the published image in shares of the crop's side; may reach beyond 0..1."""
        return Rectangle(
            (box.x_min * self.scale_x - self.left) / self.side_px,
            (box.y_min * self.scale_y - self.top) / self.side_px,
            (box.x_max * self.scale_x - self.left) / self.side_px,
            (box.y_max * self.scale_y - self.top) / self.side_px,
        )


def margin(length_px: int, side_px: int) -> int:
    """Pixels before a centre crop of ``side_px``: half of what is cut off, a half to the even one.

    As torchvision's and open_clip's CenterCrop round, with which the released model was trained.
    """
    return round((length_px - side_px) / 2)


def share_seen(placed: Rectangle) -> float:
    """The share of a placed box's area that lies in the crop; 0 for a box without area."""
    return placed.clipped().area / placed.area if placed.area > 0 else 0.0
