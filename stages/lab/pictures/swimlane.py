"""Swimlanes: client, server and upstream, with time to the right, and what passed between them.

At the right edge stands what the client was told of the end. A failure that it was told has a
solid frame, one that it was not told a dashed frame and a cross.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from stages.lab.bench.bench import Answer
from stages.lab.pictures.canvas import (
    BLUE,
    GREEN,
    GREEN_TINT,
    GREY,
    GREY_TINT,
    INK,
    ORANGE,
    ORANGE_TINT,
    PALE,
    PURPLE,
    RED,
    RED_TINT,
    Canvas,
    Clock,
    shortened,
    width_px,
)
from stages.lab.pictures.labels import LABEL_PT, labels
from stages.lab.pictures.picture import Picture
from stages.lab.pictures.story import (
    Kind,
    LaneEnd,
    Message,
    Passing,
    Sense,
    client_end,
    message,
    passings,
    upstream_end,
)
from stages.lab.upstream.ledger import SENT_KEPT

CLOSE_PX = 4  # two arrows of a kind that stand closer cannot be told apart
PANEL_PX, BAR_PX = 286, 10
LANES = {"client": 62, "server": 142, "upstream": 222}
NAMES_X, START_X, END_X, TOLD_X, EDGE_X = 12, 158, 680, 704, 892

COLORS: dict[Kind, str] = {
    "request": BLUE,
    "leave": BLUE,
    "token": INK,
    "burst": INK,
    "raw": PURPLE,
    "ping": GREY,
    "done": GREEN,
    "error": RED,
    "other": GREY,
}
FRAMES: dict[Sense, tuple[str, str]] = {
    "done": (GREEN, GREEN_TINT),
    "failure told": (ORANGE, ORANGE_TINT),
    "failure not told": (RED, RED_TINT),
    "left": (GREY, GREY_TINT),
}


def draw(answers: Mapping[str, Answer]) -> Picture:
    """Return the picture of some answers, one below the other, on the same scale of time."""
    canvas = Canvas(PANEL_PX * len(answers))
    clock = Clock(max(map(_span_s, answers.values())), START_X, END_X)
    told = []
    for i, (title, answer) in enumerate(answers.items()):
        _Panel(canvas, clock, PANEL_PX * i).draw(title, answer)
        heard = message(answer)
        told.append(f"{title}: {heard.words}, {heard.worth}".removeprefix(": "))
    return Picture(canvas.figure, "; ".join(told) + ".")


def _span_s(answer: Answer) -> float:
    times = [passing.at_s for passing in passings(answer)]
    ends = (client_end(answer).at_s, upstream_end(answer).at_s)
    return max([*times, *(at_s for at_s in ends if at_s is not None)])


class _Panel:
    """One answer on the canvas, from `top` down."""

    def __init__(self, canvas: Canvas, clock: Clock, top: float) -> None:
        self._canvas, self._clock, self._top = canvas, clock, top
        self._y = {name: top + y for name, y in LANES.items()}

    def draw(self, title: str, answer: Answer) -> None:
        self._canvas.text(NAMES_X, self._top + 16, title, size=12, bold=True, label="title")
        self._clock.draw(self._canvas, self._top + PANEL_PX - 28, self._y["client"] - 8)
        passed = passings(answer)
        self._lanes(answer, passed)
        for gap in ("client", "upstream"):
            there = [passing for passing in passed if passing.gap == gap]
            self._arrows(there, self._y[gap], self._y["server"])
            self._labels(there, (self._y[gap] + self._y["server"]) / 2)
        self._endings(answer)
        self._told(message(answer))
        self._rest(answer)

    def _lanes(self, answer: Answer, passed: list[Passing]) -> None:
        for name, y in self._y.items():
            self._canvas.text(NAMES_X, y, name, size=10.5, bold=True)
            self._canvas.line([(START_X - 60, y), (END_X + 6, y)], PALE)
        asked_s = [passing.at_s for passing in passed if passing.gap == "upstream"]
        ends_s = [client_end(answer).at_s]
        self._bar("client", 0.0, ends_s[0], BLUE)
        if asked_s:
            ends_s.append(upstream_end(answer).at_s)
            self._bar("upstream", asked_s[0], ends_s[1], PURPLE)
        open_s = [end_s for end_s in ends_s if end_s is not None]
        self._bar("server", 0.0, max(open_s) if len(open_s) == len(ends_s) else None, GREY)

    def _endings(self, answer: Answer) -> None:
        self._ending(client_end(answer), self._y["client"], -17)
        self._ending(upstream_end(answer), self._y["upstream"], 17)

    def _bar(self, lane: str, start_s: float, end_s: float | None, color: str) -> None:
        start = self._clock.x(start_s)
        end = self._clock.x(end_s) if end_s is not None else END_X + 6
        top = self._y[lane] - BAR_PX / 2
        self._canvas.box(start, top, max(end - start, 2), BAR_PX, fill=color, label=f"bar {lane}")

    def _ending(self, end: LaneEnd, y: float, aside: float) -> None:
        x = END_X if end.at_s is None else self._clock.x(end.at_s)
        color = RED if end.bad else INK
        if end.bad:
            self._canvas.disc(x, y, 9, "white")
            self._canvas.cross(x, y, RED, 7)
        elif end.at_s is not None:
            self._canvas.line([(x, y - aside * 0.3), (x, y + aside * 0.5)], INK, 3)
        half = width_px(end.words, LABEL_PT, bold=end.bad) / 2
        center = min(max(x, START_X + half), END_X + 8 - half)
        style: dict[str, Any] = {"size": LABEL_PT, "color": color, "bold": end.bad}
        self._canvas.text(center, y + aside, end.words, align="center", label="end", **style)

    def _arrows(self, passed: Iterable[Passing], outer: float, server: float) -> None:
        outward = (-1 if outer < server else 1) * BAR_PX / 2
        drawn: set[tuple[Kind, int]] = set()
        for passing in passed:
            x = self._clock.x(passing.at_s)
            if (passing.kind, round(x / CLOSE_PX)) in drawn:
                continue
            drawn.add((passing.kind, round(x / CLOSE_PX)))
            ends = (server + outward, outer - outward)
            to_upstream = outer > server
            if (passing.kind in ("request", "leave")) != to_upstream:
                ends = ends[::-1]
            self._canvas.arrow(x, *ends, COLORS[passing.kind])

    def _labels(self, passed: list[Passing], middle: float) -> None:
        for passing in passed:
            if passing.kind == "request":
                x = self._clock.x(passing.at_s) - 7
                self._canvas.text(x, middle, "request", size=LABEL_PT, color=BLUE, align="right")
        rest = [passing for passing in passed if passing.kind != "request"]
        for label in labels(rest, self._clock, EDGE_X):
            y = middle + (-14, 14)[label.level]
            self._canvas.box(label.x - 2, y - 8, label.width_px + 4, 16, fill="white")
            color = COLORS[label.kind]
            self._canvas.text(label.x, y, label.words, size=LABEL_PT, color=color, label="passing")

    def _told(self, told: Message) -> None:
        color, tint = FRAMES[told.sense]
        y, lost = self._y["client"] - 10, told.sense == "failure not told"
        area = (TOLD_X, y - 25, EDGE_X - TOLD_X, 50)
        self._canvas.box(*area, fill=tint, edge=color, dashed=lost, round_px=6, label=told.sense)
        x = TOLD_X + 20
        if lost:
            self._canvas.cross(x, y, color, 9)
        elif told.sense == "done":
            self._canvas.check(x, y, color, 9)
        elif told.sense == "failure told":
            self._canvas.warning(x, y, color)
        x += 20 if told.sense != "left" else 0
        words = shortened(told.words, EDGE_X - x - 6, 10.5, bold=True)
        self._canvas.text(x, y - 9, words, size=10.5, bold=True, label="told")
        self._canvas.text(x, y + 11, told.worth, size=LABEL_PT, label="worth")

    def _rest(self, answer: Answer) -> None:
        """Say that arrows are missing where the ledger does not have all steps."""
        if answer.entry is None or len(answer.entry.sent) < SENT_KEPT:
            return
        words = (f"{answer.entry.tokens:,} tokens in all", f"drawn: the first {SENT_KEPT} steps")
        for i, line in enumerate(words):
            y = self._y["upstream"] + 17 + 13 * i
            self._canvas.text(NAMES_X, y, line, size=8.5, color=GREY, label="rest")
