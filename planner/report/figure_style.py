"""What all figures share: size, colours that hold on light and dark ground, and how they become files."""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

INK = "#1b1f24"  # of text and axes; a page puts its own text colour in its place
LINKS = "#8a8f98"
CROSSING = "#d1242f"  # of tensors on a link
FONT = "DejaVu Sans"
# Okabe and Ito, "Color universal design", 2008: told apart by people who see fewer colours.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": FONT,
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "axes.grid": True,
    "grid.color": LINKS,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "text.parse_math": False,  # a `$` in a name is a dollar sign
}
_DPI = 144
_NO_DATE = {"Date": None}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def styled() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn."""
    return mpl.rc_context(_STYLE)


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """Return name -> colour."""
    return {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(names)}


def ink_on(colour: str) -> str:
    """Return black or white, whichever is easier to read on a colour (WCAG 2, relative luminance)."""
    parts = [int(colour[digit : digit + 2], 16) / 255 for digit in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]  # noqa: PLR2004
    luminance = sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def save_figure(figure: Figure, folder: Path, name: str) -> None:
    """Write NAME.svg and NAME.png into a folder."""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}), _without_glyph_warnings():
        figure.savefig(folder / f"{name}.svg", facecolor="white", metadata=_NO_DATE)
        figure.savefig(folder / f"{name}.png", facecolor="white", dpi=_DPI)


@contextmanager
def _without_glyph_warnings() -> Iterator[None]:
    """Say nothing of signs that the font lacks: names are a model's own, and a browser has other fonts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def inline_svg(figure: Figure, name: str, label: str) -> str:
    """Return a figure as an SVG element for a page, in the page's text colour, with ids that are its own.

    Parameters
    ----------
    label
        What it shows, for those who do not see it.
    """
    text = io.StringIO()
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}), _without_glyph_warnings():
        figure.savefig(text, format="svg", transparent=True, metadata=_NO_DATE)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    # It grows with the page but does not shrink: its text would be too small to read.
    svg = re.sub(r' height="[\d.]+pt"', "", svg, count=1)
    svg = re.sub(r' width="([\d.]+pt)"', r' style="min-width: \1"', svg, count=1)
    svg = svg.replace(INK, "currentColor")
    svg = re.sub(r" font-family: [^;\"]*;?", "", svg)  # the page's own
    svg = re.sub(r' transform="rotate\(-?0 [^"]*"', "", svg)
    # A hundredth of a point is more than a screen shows; texts keep their digits.
    svg = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), svg)
    svg = re.sub(r"\n\s*", "\n", svg)
    escaped = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{escaped}"', 1)
