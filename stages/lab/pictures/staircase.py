"""The staircase: every probe on every stage as a picture, for the README and the end of a tour.

Rows stand in the order of the stages that introduce the probes. So the green cells begin one
column further to the right from group to group, and the line along their edge is a stair.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import PurePath

from stages import catalog
from stages.lab.bench.verdict import State
from stages.lab.matrix.cells import Cell
from stages.lab.pictures.canvas import GREEN, GREY, INK, RED, Canvas, shortened, width_px
from stages.lab.pictures.picture import Picture
from stages.lab.probes import Probe, all_probes

LEFT, CELL_PX, RIGHT = 16, 92, 16
HEAD, ROW, GROUP, FOOT = 56, 24, 26, 44
LEGEND_PX = 520
COLORS: dict[State, str] = {"green": GREEN, "red": RED, "unmeasured": GREY}


def draw(cells: Sequence[Cell]) -> Picture:
    """Return the picture of some cells of the matrix."""
    found = {(cell.probe, cell.target): cell for cell in cells}
    targets = list(dict.fromkeys(cell.target for cell in cells))
    probes = [probe for probe in all_probes() if any(cell.probe == probe.name for cell in cells)]
    groups = [(number, list(group)) for number, group in groupby(probes, _introduced_by)]
    height = HEAD + len(groups) * GROUP + len(probes) * ROW + FOOT
    first_x = LEFT + 32 + max((width_px(probe.name) for probe in probes), default=0)
    width = max(first_x + CELL_PX * len(targets) + RIGHT, LEGEND_PX)
    grid = _Grid(Canvas(height, width), first_x, width - RIGHT)
    grid.heads(targets)
    for number, group in groups:
        top = grid.y
        grid.y += GROUP
        for probe in group:
            grid.row(probe, [found.get((probe.name, target)) for target in targets])
        grid.stair(_column(number, targets), top + GROUP)
        grid.title(number, top + GROUP - 11)
    surprised = any(cell.as_expected is False for cell in cells)
    grid.legend(surprised, not all(cell.verdict.measured for cell in cells))
    return Picture(grid.canvas.figure, _alt(cells, targets))


def _introduced_by(probe: Probe) -> int:
    return probe.introduced_by


def _column(number: int, targets: Sequence[str]) -> int | None:
    stems = [stage.stem for stage in catalog.STAGES if stage.number == number]
    return targets.index(stems[0]) if stems[0] in targets else None


def _alt(cells: Sequence[Cell], targets: Iterable[str]) -> str:
    counts = []
    for target in targets:
        green = [cell.verdict.green for cell in cells if cell.target == target]
        counts.append(f"{target} {sum(green)} of {len(green)}")
    unsure = sum(not cell.verdict.measured for cell in cells)
    note = f" Not measured: {unsure}." if unsure else ""
    return f"Probes that hold: {', '.join(counts)}.{note}"


class _Grid:
    """A canvas that is filled from the top down; `y` is where the next row begins."""

    def __init__(self, canvas: Canvas, first_x: float, edge_x: float) -> None:
        self.canvas, self.y = canvas, float(HEAD)
        self._first_x, self._edge_x = first_x, edge_x
        self._corner: tuple[float, float] | None = None

    def heads(self, targets: Iterable[str]) -> None:
        """Write the name of each column."""
        for i, target in enumerate(targets):
            number, *words = PurePath(target).stem.split("_")
            x = self._x(i) + CELL_PX / 2
            self.canvas.text(x, 18, number, size=11, bold=True, align="center", label="head")
            for line, word in enumerate(_lines(words)):
                self.canvas.text(x, 34 + 13 * line, word, size=8.5, color=GREY, align="center")

    def title(self, number: int, y: float) -> None:
        """Write which stage introduces the probes below; the stair may pass behind it."""
        words = f"since stage {number}"
        self.canvas.text(LEFT, y, words, bold=True, label="group")
        x = LEFT + width_px(words, bold=True) + 10
        claim = next(stage.title for stage in catalog.STAGES if stage.number == number)
        claim = shortened(claim, self._edge_x - x, 8.5)
        self.canvas.box(x - 3, y - 8, width_px(claim, 8.5) + 6, 16, fill="white")
        self.canvas.text(x, y, claim, size=8.5, color=GREY)

    def row(self, probe: Probe, cells: Iterable[Cell | None]) -> None:
        """Draw a probe's row; a target without a verdict has no cell."""
        y = self.y + ROW / 2
        self.canvas.text(LEFT + 8, y, probe.name, label="probe")
        for i, cell in enumerate(cells):
            if cell is not None:
                self._cell(self._x(i), cell)
        self.y += ROW

    def _cell(self, x: float, cell: Cell) -> None:
        area = (x + 2, self.y + 1.5, CELL_PX - 4, ROW - 3)
        self._sign(cell.verdict.state, area, 6, label=cell.verdict.state)
        if cell.as_expected is False:
            self._frame(*area)

    def _sign(
        self, state: State, area: tuple[float, float, float, float], size: float, label: str = ""
    ) -> None:
        x, y, width, height = area
        center = (x + width / 2, y + height / 2)
        self.canvas.box(*area, fill=COLORS[state], round_px=3, label=label)
        if state == "unmeasured":
            self.canvas.text(*center, "?", size=11, bold=True, color="white", align="center")
        else:
            sign = self.canvas.check if state == "green" else self.canvas.cross
            sign(*center, "white", size)

    def _frame(self, x: float, y: float, width: float, height: float) -> None:
        for inset, color in ((0, INK), (2.5, "white")):
            area = (x + inset, y + inset, width - 2 * inset, height - 2 * inset)
            self.canvas.box(*area, fill="none", edge=color, label=f"frame {color}")

    def stair(self, column: int | None, top: float) -> None:
        """Draw the edge before which a group is expected to be red."""
        if column is None:
            return
        x = self._x(column)
        start = [self._corner, (x, self._corner[1])] if self._corner else []
        self.canvas.line([*start, (x, top), (x, self.y)], INK, 2.5, label="stair")
        self._corner = (x, self.y)

    def legend(self, surprised: bool, unsure: bool) -> None:
        """Say what the signs mean; the frame and the ? only where there is one."""
        y, x = self.y + 24, LEFT + 8.0
        signs: list[tuple[State | None, str]] = [("green", "holds"), ("red", "does not hold")]
        signs += [("unmeasured", "not measured")] if unsure else []
        signs += [(None, "not as expected")] if surprised else []
        for state, words in signs:
            if state is None:
                self._frame(x, y - 9, 24, 18)
            else:
                self._sign(state, (x, y - 9, 24, 18), 5)
            self.canvas.text(x + 32, y, words, color=GREY, label="legend")
            x += 32 + width_px(words) + 24

    def _x(self, column: int) -> float:
        return self._first_x + CELL_PX * column


def _lines(words: Sequence[str]) -> list[str]:
    """Return words in two lines, in one where they fit."""
    if width_px(" ".join(words), 8.5) <= CELL_PX - 6:
        return [" ".join(words)]
    half = (len(words) + 1) // 2
    return [" ".join(words[:half]), " ".join(words[half:])]
