"""A dashboard as a picture: four panels over time, drawn from what a server says at `/metrics`."""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from stages.lab.experiments.series import Line, Series
from stages.lab.experiments.signals import FIRST_TOKEN_S, IN_FLIGHT, PROBLEMS, STREAMS
from stages.lab.pictures.canvas import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RED,
    WIDTH_PX,
    Canvas,
    Clock,
    width_px,
)
from stages.lab.pictures.picture import Picture

COLORS = {  # a word has the same colour in every panel; what is not here is grey
    "in flight": BLUE,
    "completed": GREEN,
    "client_closed": BLUE,
    "client_stalled": ORANGE,
    "upstream_failed": RED,
    "upstream_refused": PURPLE,
    "too_many_streams": INK,  # that of the limit
    "half are faster": BLUE,
    "nine in ten are faster": ORANGE,
}
LEFT, GAP, TOP, BETWEEN = 16, 40, 10, 14
PANEL = (WIDTH_PX - 2 * LEFT - GAP) / 2
TITLE, LEGEND, PLOT, AXIS = 24, 17, 132, 22
SCALE_PX = 36  # for the numbers of the upright axis
TITLE_PT, SMALL_PT = 11.5, 9.0
LINE_PX, DOT_PX = 2.2, 2.6
SWATCH_PX, APART_PX = 14, 9


@dataclass(frozen=True)
class Panel:
    """One panel: what it shows, and lines by name. `limit` is drawn across."""

    title: str
    unit: str
    lines: Mapping[str, Line]
    limit: float | None = None

    @property
    def most(self) -> float:
        """The largest value that is to be seen."""
        values = [value for line in self.lines.values() for _, value in line]
        return max([*values, self.limit or 0, 1])


def draw(series: Series) -> Picture:
    """Return the picture of a series; raises ValueError for one with fewer than two scrapes."""
    if len(series.looks) < 2:
        raise ValueError(
            f"A dashboard needs two scrapes or more, and this series has {len(series.looks)}: "
            "what it shows are differences."
        )
    span_s, panels = series.looks[-1].at_s, _panels(series)
    rows = max(len(_legend(panel)) for panel in panels)
    height = TITLE + rows * LEGEND + 12 + PLOT + AXIS
    canvas = Canvas(2 * TOP + 2 * height + BETWEEN)
    for i, panel in enumerate(panels):
        x, y = LEFT + (PANEL + GAP) * (i % 2), TOP + (height + BETWEEN) * (i // 2)
        _draw(canvas, x, y, panel, Clock(span_s, x + SCALE_PX, x + PANEL), y + height - AXIS)
    told = " ".join(map(_in_words, panels))
    return Picture(canvas.figure, f"A dashboard of {span_s:.0f} s. {told}")


def _panels(series: Series) -> list[Panel]:
    def by(name: str, label: str) -> dict[str, Line]:
        return {value: series.rates(name, **{label: value}) for value in series.labels(name, label)}

    shares = {"half are faster": 0.5, "nine in ten are faster": 0.9}
    first_s = {name: series.quantiles(share, FIRST_TOKEN_S) for name, share in shares.items()}
    in_flight = {"in flight": series.values(IN_FLIGHT)}
    return [
        Panel("Streams in flight", "now", in_flight, series.limit),
        Panel("Streams that ended", "a second", by(STREAMS, "outcome")),
        Panel("Time to first token", "seconds, from buckets", first_s),
        Panel("Problems that clients were told", "a second", by(PROBLEMS, "code")),
    ]


def _draw(canvas: Canvas, x: float, y: float, panel: Panel, clock: Clock, bottom: float) -> None:
    canvas.text(x, y + TITLE / 2, panel.title, size=TITLE_PT, bold=True, label="title")
    canvas.text(clock.right, y + TITLE / 2, panel.unit, size=SMALL_PT, color=GREY, align="right")
    for i, row in enumerate(_legend(panel)):
        for offset, name, color in row:
            middle = y + TITLE + LEGEND * (i + 0.5)
            canvas.box(x + offset, middle - 5, 10, 10, fill=color)
            canvas.text(x + offset + SWATCH_PX, middle, name, size=SMALL_PT, label="legend")
    clock.draw(canvas, bottom, bottom - PLOT)
    ticks = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(0, panel.most)

    def at(value: float) -> float:
        return bottom - PLOT * value / float(ticks[-1])

    for tick in ticks:
        canvas.line([(clock.left, at(tick)), (clock.right, at(tick))], FAINT)
        place = clock.left - 10, at(tick), f"{tick:g}"
        canvas.text(*place, size=SMALL_PT, color=GREY, align="right", label="scale")
    if panel.limit is not None:
        ends = [(clock.left, at(panel.limit)), (clock.right, at(panel.limit))]
        canvas.line(ends, INK, 1.2, label="limit")
    for name, line in panel.lines.items():
        points = [(clock.x(at_s), at(value)) for at_s, value in line]
        _line(canvas, points, COLORS.get(name, GREY), f"{panel.title}: {name}")


def _line(canvas: Canvas, points: list[tuple[float, float]], color: str, label: str) -> None:
    if points:
        canvas.line(points, color, LINE_PX, label=label)
    for x, y in points:  # a scrape each: between two of them, nobody has looked
        canvas.disc(x, y, DOT_PX, color)


def _legend(panel: Panel) -> list[list[tuple[float, str, str]]]:
    """Return rows of names, each with its place from the left of the panel and its colour."""
    named = {name: COLORS.get(name, GREY) for name in panel.lines}
    if panel.limit is not None:
        named[f"limit {panel.limit:g}"] = INK
    rows: list[list[tuple[float, str, str]]] = [[]]
    x = 0.0
    for name, color in named.items():
        width = SWATCH_PX + width_px(name, SMALL_PT)
        if x + width > PANEL:
            rows.append([])
            x = 0.0
        rows[-1].append((x, name, color))
        x += width + APART_PX
    return rows


def _in_words(panel: Panel) -> str:
    most = (
        f"{name} up to {max(value for _, value in line):.1f}"
        for name, line in panel.lines.items()
        if line
    )
    limit = "" if panel.limit is None else f", with a limit of {panel.limit:g}"
    return f"{panel.title} ({panel.unit}): {', '.join(most) or 'none'}{limit}."
