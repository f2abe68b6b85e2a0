"""Arrivals as a picture: when each piece of an answer came, one row for each way to send it."""

from collections.abc import Mapping, Sequence

from stages.lab.pictures.canvas import BLUE, GREY, PALE, Canvas, Clock
from stages.lab.pictures.picture import Picture

HEAD, ROW, FOOT = 14, 46, 40
LEFT, START_X, END_X = 16, 190, 740


def draw(times_s: Mapping[str, Sequence[float]]) -> Picture:
    """Return the picture of arrivals; times count from the request, in seconds."""
    bottom = HEAD + ROW * len(times_s)
    canvas = Canvas(bottom + FOOT)
    clock = Clock(max(max(row, default=0) for row in times_s.values()), START_X, END_X)
    clock.draw(canvas, bottom, HEAD)
    for i, (name, row) in enumerate(times_s.items()):
        y = HEAD + ROW * i + ROW / 2
        canvas.text(LEFT, y, name, size=10.5, bold=True)
        canvas.line([(START_X, y), (END_X, y)], PALE)
        for at_s in row:
            canvas.disc(clock.x(at_s), y, 5.5, "white")  # keeps neighbours apart
            canvas.disc(clock.x(at_s), y, 4.5, BLUE, label=name)
        canvas.text(END_X + 20, y - 8, _pieces(len(row)), bold=True, label="count")
        if row:
            first = f"the first after {min(row):.2f} s"
            canvas.text(END_X + 20, y + 8, first, size=8.5, color=GREY)
    counts = ", ".join(f"{name} {_pieces(len(row))}" for name, row in times_s.items())
    return Picture(canvas.figure, f"Arrivals: {counts}.")


def _pieces(count: int) -> str:
    return f"{count} piece" + "s" * (count != 1)
