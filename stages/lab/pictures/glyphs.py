"""Bytes as they are drawn: what cannot be seen in print stands as its name in a small box.

A line feed is a box with LF, so that it cannot be taken for a backslash and an n. A character that
the bundled font does not have is a box with its code point.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from stages.lab.pictures.canvas import GREY, INK, PALE, RED_DARK_TINT, Canvas, drawable, width_px

BOX_PT = 7.0
NAMES = {"\n": "LF", "\r": "CR", "\t": "TAB", "\0": "NUL"}
LOOKED_AT = 300  # characters at each end: no line of a picture has room for more


@dataclass(frozen=True)
class Glyph:
    """One character as it is drawn: itself, or its name in a box."""

    text: str
    boxed: bool

    @classmethod
    def of(cls, char: str) -> "Glyph":
        """Return how a character is drawn; a lone surrogate is a byte that is no UTF-8."""
        if drawable(char, mono=True):
            return cls(char, boxed=False)
        code = ord(char)
        name = f"0x{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else f"U+{code:04X}"
        return cls(NAMES.get(char, name), boxed=True)

    @property
    def width_px(self) -> float:
        """The room that it takes."""
        if self.boxed:
            return width_px(self.text, BOX_PT, bold=True) + 9
        return width_px(self.text, mono=True)


ELLIPSIS = Glyph("…", boxed=False)


def width_of(row: Iterable[Glyph]) -> float:
    """Return the room that glyphs take together."""
    return sum(glyph.width_px for glyph in row)


def fit(text: str, room_px: float, end_px: float) -> list[Glyph]:
    """Return the glyphs of a text; where there are too many, its start and `end_px` of its end."""
    row = list(map(Glyph.of, text[: 2 * LOOKED_AT]))
    if len(text) == len(row) and width_of(row) <= room_px:
        return row
    end = list(_while_fits(text[: -LOOKED_AT - 1 : -1], end_px))[::-1]
    start = _while_fits(text[:LOOKED_AT], room_px - width_of([ELLIPSIS, *end]))
    return [*start, ELLIPSIS, *end]


def _while_fits(text: str, room_px: float) -> Iterator[Glyph]:
    for glyph in map(Glyph.of, text):
        room_px -= glyph.width_px
        if room_px < 0:
            return
        yield glyph


def write(canvas: Canvas, x: float, y: float, row: Sequence[Glyph], color: str) -> float:
    """Write glyphs in one line; returns where the line ends."""
    for boxed, run in groupby(row, key=lambda glyph: glyph.boxed):
        if not boxed:
            text = "".join(glyph.text for glyph in run)
            canvas.text(x, y, text, mono=True, color=color, label="wire")
            x += width_px(text, mono=True)
            continue
        for glyph in run:
            _write_box(canvas, x, y, glyph)
            x += glyph.width_px
    return x


def _write_box(canvas: Canvas, x: float, y: float, glyph: Glyph) -> None:
    width = glyph.width_px
    canvas.box(x + 1.5, y - 7.5, width - 3, 15, fill="white", edge=PALE, round_px=3)
    center = x + width / 2
    canvas.text(center, y, glyph.text, size=BOX_PT, color=GREY, align="center", bold=True)


def write_compared(
    canvas: Canvas, x: float, y: float, text: str, other: str, room_px: float
) -> None:
    """Write a text in one line; what another text has not stands on red ground."""
    before, within, after = _parts(text, _difference(text, other), room_px)
    x = write(canvas, x, y, before, INK)
    if within:
        canvas.box(x, y - 11, width_of(within), 22, fill=RED_DARK_TINT, label="difference")
    x = write(canvas, x, y, within, INK)
    write(canvas, x, y, after, INK)


def _parts(text: str, difference: slice, room_px: float) -> Sequence[list[Glyph]]:
    """Return the glyphs before, in and after the difference; it gets the room that they leave."""
    start, end = difference.start, difference.stop
    if start == end:
        return fit(text, room_px, 100), [], []
    before = fit(text[:start], room_px * 0.3, room_px * 0.2)
    after = fit(text[end:], room_px * 0.2, room_px * 0.1)
    return before, fit(text[start:end], room_px - width_of([*before, *after]), 100), after


def _difference(text: str, other: str) -> slice:
    """Return the part of a text that another text does not share at its start or its end."""
    shorter = min(len(text), len(other))
    start = next((i for i in range(shorter) if text[i] != other[i]), shorter)
    back = range(1, shorter - start + 1)
    same_end = next((i - 1 for i in back if text[-i] != other[-i]), shorter - start)
    return slice(start, len(text) - same_end)
