"""What all figures share: style, colors, and a drawing as SVG and PDF that are the same bytes for the same results.

No dates, no random identifiers, no fonts but those of the reader.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib.figure import Figure

from verify.enclosure.display import float_up

__all__ = ["INK", "RISK", "SEEN", "SMALLEST", "Drawn", "complement", "draw", "shortened"]

INK = "#767676"  # readable on white and on black; inside a page it becomes the color of the text
SEEN = "#0072B2"  # Okabe-Ito blue
RISK = "#E69F00"  # Okabe-Ito orange
SMALLEST = 1e-12  # complements beyond are off the axis
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Drawn:
    """A finished figure. `svg` is a file of its own, `inline` the same drawing for use inside an HTML page.

    name: of its files; caption: how to read it; wide: whether it wants the whole width of a page.
    """

    name: str
    title: str
    caption: str
    description: str
    wide: bool
    svg: str
    inline: str
    pdf: bytes


def draw(name: str, title: str, caption: str, description: str, make: Callable[[], Figure], *, wide: bool) -> Drawn:
    """Draw a figure in the style of the reports."""
    with matplotlib.style.context(["default", STYLE | {"svg.hashsalt": f"nonconv-{name}"}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the reader's fonts are used, not these
        figure = make()
        svg, pdf = io.BytesIO(), io.BytesIO()
        figure.savefig(
            svg, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
        figure.set_layout_engine("none")  # both files have the layout that the first one found
        figure.savefig(pdf, format="pdf", transparent=True, metadata={"CreationDate": None, "Title": title})
    drawing = _named(svg.getvalue().decode(), name, title, description)
    alone = '<?xml version="1.0" encoding="utf-8"?>\n' + drawing
    inline = drawing.replace(INK, "currentColor").replace(SEEN.lower(), "var(--seen)")
    return Drawn(name, title, caption, description, wide, alone, inline, pdf.getvalue())


def _named(svg: str, name: str, title: str, description: str) -> str:
    """Give the drawing a title and description, and identifiers of its own; drop what refers to the outside."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.[0-9]{2})[0-9]+", r"\1", path[0]), body)  # of a point
    for pattern in (r'(\bid=")', r"(url\(#)", r'(href="#)'):
        body = re.sub(pattern, rf"\g<1>{name}-", body)
    names = f'role="img" aria-labelledby="{name}-title {name}-description"'
    told = (
        f'<title id="{name}-title">{escape(title)}</title>\n <desc id="{name}-description">{escape(description)}</desc>'
    )
    return re.sub(r"<svg ([^>]*)>", lambda head: f"<svg {names} {head[1]}>\n {told}", body, count=1)


def complement(value: Fraction) -> float:
    """1 - value as a float, rounded up: a bound is never drawn higher than it is; at least a tenth of SMALLEST."""
    return max(float_up(1 - value), SMALLEST / 10)


def shortened(text: str, longest: int) -> str:
    """Cut a text that is too long for its place."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
