"""What all figures share: a style, and SVG in which equal data give equal bytes.

Figures are drawn without pyplot, so that nothing is kept between them, and hold no date and no
random id.
"""

from __future__ import annotations

from io import StringIO
from typing import Any

from matplotlib.figure import Figure


def style(ink: str, muted: str, line: str) -> dict[Any, Any]:
    """matplotlib's settings for text, labels and lines of those colours."""
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "cxrflow",
        "font.family": "sans-serif",
        "font.size": 10.0,
        "axes.edgecolor": line,
        "axes.labelcolor": muted,
        "text.color": ink,
        "xtick.color": line,
        "ytick.color": line,
        "xtick.labelcolor": muted,
        "ytick.labelcolor": ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }


def svg_text(figure: Figure) -> str:
    """The figure as an SVG document; inside ``rc_context`` of its style."""
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
