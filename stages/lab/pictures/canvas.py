"""A canvas for the lab's pictures: shapes and lines of text on a sheet measured in pixels.

It is a bare `Figure`, without pyplot: no global state, no backend, no magic in a notebook.
"""

from collections.abc import Sequence
from functools import cache, lru_cache, partial
from itertools import count
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font, LoadFlags
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch, Polygon
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from stages.lab.text import printable

# After Okabe and Ito, whose colours all kinds of colour vision tell apart, and darker where text in
# them must be read on white. https://jfly.uni-koeln.de/color/
BLUE, GREEN, ORANGE, RED, PURPLE = "#0072B2", "#008060", "#B87700", "#C24A00", "#A5527F"
GREEN_TINT, ORANGE_TINT, RED_TINT, RED_DARK_TINT = "#DDF3EA", "#FCF0D4", "#FDE4D8", "#F7B795"
INK, GREY, GREY_TINT, PALE, FAINT = "#1F2328", "#59636E", "#F3F5F7", "#D1D9E0", "#EAEEF2"

WIDTH_PX = 900  # the column of JupyterLab on a laptop, and of a README on GitHub
DPI = 100  # so that a pixel of the canvas is a hundredth of an inch
BODY_PT = 9.5

Align = Literal["left", "center", "right"]


@cache
def _font(bold: bool, mono: bool) -> tuple[FontProperties, FT2Font, frozenset[int]]:
    family = "DejaVu Sans Mono" if mono else "DejaVu Sans"
    properties = FontProperties(family=family, weight="bold" if bold else "normal")
    font = FT2Font(findfont(properties))
    return properties, font, frozenset(font.get_charmap())


def drawable(char: str, *, bold: bool = False, mono: bool = False) -> bool:
    """Return whether the bundled font can draw a character so that it is seen."""
    return char.isprintable() and ord(char) in _font(bold, mono)[2]


def _plain(text: str, bold: bool, mono: bool) -> str:
    """Return a text with escapes for all that the font cannot draw."""
    return printable(text, partial(drawable, bold=bold, mono=mono))


@lru_cache(4096)
def width_px(text: str, size: float = BODY_PT, *, bold: bool = False, mono: bool = False) -> float:
    """Return how many pixels of the canvas a text takes."""
    font = _font(bold, mono)[1]
    font.set_size(size, DPI)
    font.set_text(_plain(text, bold, mono), flags=LoadFlags.NO_HINTING)
    return float(font.get_width_height()[0]) / 64  # FreeType counts in 64ths of a pixel


def shortened(text: str, room_px: float, size: float = BODY_PT, *, bold: bool = False) -> str:
    """Return the text, without its middle where it takes more than `room_px`."""
    short, keep = text, min(len(text), 200)  # no picture has room for more
    while keep > 1 and (len(short) > 201 or width_px(short, size, bold=bold) > room_px):
        short = f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"
        keep -= 1
    return short


class Canvas:
    """A white sheet, `WIDTH_PX` wide unless told; x to the right and y down, both in pixels."""

    def __init__(self, height_px: float, width_px: float = WIDTH_PX) -> None:
        size = (width_px / DPI, height_px / DPI)
        self.figure = Figure(figsize=size, dpi=DPI, facecolor="white")
        self._axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width_px), ylim=(height_px, 0))
        self._axes.set_axis_off()
        self._layers = count()

    def _add(self, artist: Artist, label: str) -> None:
        artist.set(label=label, zorder=next(self._layers))  # what is drawn later lies above
        self._axes.add_artist(artist)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = BODY_PT,
        color: str = INK,
        align: Align = "left",
        bold: bool = False,
        mono: bool = False,
        label: str = "",
    ) -> None:
        """Write a line at the height y of its middle. What the font cannot draw is escaped."""
        text, font = _plain(text, bold, mono), _font(bold, mono)[0]
        line = Text(x, y, text, color=color, fontproperties=font, parse_math=False)
        line.set(size=size, va="center_baseline", ha=align)
        self._add(line, label)

    def box(
        self,
        *area: float,
        fill: str,
        edge: str = "none",
        dashed: bool = False,
        round_px: float = 0.0,
        label: str = "",
    ) -> None:
        """Draw a rectangle; `area` is x, y, width and height."""
        x, y, width, height = area
        style = f"round,pad=0,rounding_size={round_px}" if round_px else "square,pad=0"
        box = FancyBboxPatch((x, y), width, height, boxstyle=style, fc=fill, ec=edge, lw=1.5)
        box.set(linestyle="--" if dashed else "-")
        self._add(box, label)

    def line(
        self, points: Sequence[tuple[float, float]], color: str, width: float = 1.0, label: str = ""
    ) -> None:
        """Draw straight lines from point to point."""
        xs, ys = zip(*points, strict=True)
        line = Line2D(xs, ys, color=color, linewidth=width)
        self._add(line, label)

    def shape(self, points: Sequence[tuple[float, float]], fill: str, label: str = "") -> None:
        """Fill the polygon of these corners."""
        self._add(Polygon(points, closed=True, fc=fill, ec="none"), label)

    def arrow(self, x: float, y_from: float, y_to: float, color: str, width: float = 1.4) -> None:
        """Draw an upright arrow."""
        back = 7 if y_to < y_from else -7
        self.line([(x, y_from), (x, y_to + back / 2)], color, width, label="arrow")
        head = [(x, y_to), (x - 3.2, y_to + back), (x + 3.2, y_to + back)]
        self.shape(head, color, label="head")

    def disc(self, x: float, y: float, radius: float, fill: str, label: str = "") -> None:
        """Fill a circle."""
        self._add(Circle((x, y), radius, fc=fill, ec="none"), label)

    def warning(self, x: float, y: float, color: str) -> None:
        """Draw a triangle with an exclamation mark around a point."""
        self.shape([(x, y - 11), (x - 12, y + 9), (x + 12, y + 9)], color, label="warning")
        self.shape(
            [(x - 1.6, y - 4), (x + 1.6, y - 4), (x + 0.9, y + 3), (x - 0.9, y + 3)], "white"
        )
        self.disc(x, y + 5.7, 1.4, "white")

    def check(self, x: float, y: float, color: str, reach: float = 5.0) -> None:
        """Draw ✓ around a point: as lines, which need no font."""
        points = [(-1.0, 0.1), (-0.3, 0.8), (1.0, -0.8)]
        self._stroke([(x + dx * reach, y + dy * reach) for dx, dy in points], color, reach, "check")

    def cross(self, x: float, y: float, color: str, reach: float = 5.0) -> None:
        """Draw ✗ around a point."""
        a, b = reach * 0.8, -reach * 0.8
        for points in ([(x + a, y + a), (x + b, y + b)], [(x + a, y + b), (x + b, y + a)]):
            self._stroke(points, color, reach, "cross")

    def _stroke(
        self, points: Sequence[tuple[float, float]], color: str, reach: float, label: str
    ) -> None:
        xs, ys = zip(*points, strict=True)
        stroke = Line2D(xs, ys, color=color, linewidth=reach * 0.4)
        stroke.set(solid_capstyle="round", solid_joinstyle="round")
        self._add(stroke, label)


class Clock:
    """A time axis: seconds from 0 to `span_s`, at the pixels from `left` to `right`."""

    def __init__(self, span_s: float, left: float, right: float) -> None:
        self.span_s, self.left, self.right = max(span_s, 0.001), left, right

    def x(self, at_s: float) -> float:
        """Return the pixel of a time."""
        return self.left + (self.right - self.left) * at_s / self.span_s

    def draw(self, canvas: Canvas, y: float, top: float) -> None:
        """Draw the axis at y, and faint lines up to `top`."""
        unit, factor = ("ms", 1000) if self.span_s < 0.5 else ("s", 1)
        ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(0, self.span_s * factor)
        for tick in (tick for tick in ticks if 0 <= tick <= self.span_s * factor * 1.001):
            x = self.x(tick / factor)
            canvas.line([(x, top), (x, y)], FAINT)
            canvas.text(x, y + 10, f"{tick:g} {unit}", size=8.5, color=GREY, align="center")
