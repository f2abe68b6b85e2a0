"""Reservoirs as a picture: how much each buffer on the way holds for a client that reads nothing.

One scale for all bars, and a linear one: that most of them are nothing beside a kernel's is what is
to be seen.
"""

from collections.abc import Mapping

from stages.lab.experiments.buffers import Buffers
from stages.lab.pictures.canvas import BLUE, GREY, ORANGE, PALE, Canvas, shortened, width_px
from stages.lab.pictures.picture import Picture

PLACES = (  # in the order of the way; whose it is, what it is, and its colour
    ("upstream", "kernel, send queue", BLUE),
    ("server", "kernel, receive queue", BLUE),
    ("server", "application", ORANGE),
    ("server", "transport's write buffer", ORANGE),
    ("server", "kernel, send queue", BLUE),
    ("client", "kernel, receive queue", BLUE),
)
TITLE, ROW, GAP, FOOT = 40, 27, 12, 34
TITLE_PT = 11.5
LEFT, PLACE_X, START_X, END_X, RIGHT = 16, 104, 288, 796, 884
THIN_PX = 2.0  # the least that is seen of something


def draw(measured: Mapping[str, Buffers]) -> Picture:
    """Return the picture of where the bytes sat, a group of bars under each name."""
    height = TITLE + ROW * len(PLACES) + GAP
    canvas = Canvas(height * len(measured) + FOOT)
    most = max((max(buffers.places) for buffers in measured.values()), default=0)
    for i, (name, buffers) in enumerate(measured.items()):
        _group(canvas, height * i, name, buffers, (END_X - START_X) / max(most, 1))
    _legend(canvas, height * len(measured) + 8)
    told = (f"{name}: {_in_words(buffers)}" for name, buffers in measured.items())
    return Picture(canvas.figure, f"Where the bytes sit. {' '.join(told)}")


def _group(canvas: Canvas, top: float, name: str, buffers: Buffers, px_per_byte: float) -> None:
    sent = _sent(buffers)
    title = shortened(name, RIGHT - LEFT - width_px(sent) - 20, TITLE_PT, bold=True)
    canvas.text(LEFT, top + 22, title, size=TITLE_PT, bold=True, label="title")
    canvas.text(RIGHT, top + 22, sent, color=GREY, align="right", label="sent")
    above = None
    for i, ((whose, what, color), held) in enumerate(zip(PLACES, buffers.places, strict=True)):
        y = top + TITLE + ROW * i
        middle = y + ROW / 2
        if whose != above:
            canvas.line([(LEFT, y), (RIGHT, y)], PALE)
            canvas.text(LEFT, middle, whose, bold=True, label="whose")
        above = whose
        canvas.text(PLACE_X, middle, what, label="place")
        length = max(held * px_per_byte, THIN_PX) if held > 0 else 0.0
        canvas.box(START_X, y + 5, length, ROW - 10, fill=color, label=name)
        canvas.text(START_X + length + 8, middle, _kb(held), bold=True, label="held")


def _legend(canvas: Canvas, y: float) -> None:
    kinds = ((BLUE, "in a kernel"), (ORANGE, "in the server's process"))
    for i, (color, what) in enumerate(kinds):
        x = START_X + 120 * i
        canvas.box(x, y - 2, 12, 12, fill=color)
        canvas.text(x + 18, y + 4, what, color=GREY)


def _kb(held: int) -> str:
    return f"{round(held / 1000):,} KB"


def _sent(buffers: Buffers) -> str:
    how = "all of it" if buffers.complete else "then was held up"
    return f"the upstream sent {_kb(buffers.sent_bytes)}, {how}"


def _in_words(buffers: Buffers) -> str:
    held = (
        f"{whose} {what} {_kb(held)}"
        for (whose, what, _), held in zip(PLACES, buffers.places, strict=True)
    )
    return f"{', '.join(held)}; {_sent(buffers)}."
