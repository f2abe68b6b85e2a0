"""The command `tour`: every probe on every stage, live, and then the staircase."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from time import perf_counter

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stages.lab.cli import report
from stages.lab.cli.console import (
    INTERRUPTED,
    PYTHON,
    can_write,
    console,
    keep,
    line,
    say,
    type_next,
)
from stages.lab.cli.report import Plan
from stages.lab.matrix import lanes
from stages.lab.matrix.cells import Cell, OnCell, ProbeBroken, stage_targets, to_json
from stages.lab.probes import all_probes
from stages.lab.processes.process import ProcessError
from stages.lab.processes.targets import find

PICTURES = (".svg", ".png", ".pdf")


def tour(names: Sequence[str], *, json_to: str | None, picture_to: str | None) -> int:
    """Measure every probe on the targets, all stages when there is no name; returns the exit code.

    Raises TargetError, UsageError for a file that cannot be written, and what a broken server or
    probe raises, after a report of what was measured so far.
    """
    out = console(stderr=json_to == "-")
    targets = [find(name) for name in dict.fromkeys(names)] or stage_targets()
    view = View(Plan(targets, all_probes()))
    for path, endings in ((json_to, ()), (picture_to, PICTURES)):
        if path is not None:
            can_write(path, *endings)
    say(out, f"Every probe on every server: {view.total} experiments over real sockets.")
    stopped = _measure(out, view)
    took_s = view.took_s
    if view.cells:
        _report(out, view)
    if isinstance(stopped, KeyboardInterrupt):
        how_far = f"Interrupted after {len(view.cells)} of {view.total} experiments."
        say(out, f"\n{how_far} Every server has been ended.")
        return INTERRUPTED
    if stopped is not None:
        raise stopped
    say(out, ("\n" + report.summary(view.cells, took_s), "bold"))
    if json_to is not None:
        keep(out, json_to, f"{to_json(view.cells)}\n")
    if picture_to is not None:
        _draw(view.cells, picture_to)
        say(out, f"\nThe staircase is drawn in {picture_to}")
    type_next(out, _next(view.cells))
    return report.exit_code(view.cells)


def _measure(out: Console, view: "View") -> KeyboardInterrupt | Exception | None:
    """Run the tour and show how it goes; returns what stopped it, None at its end."""
    with view.shown(out) as on_cell:
        try:
            view.cells = asyncio.run(lanes.tour(view.plan.targets, on_cell))
        except (KeyboardInterrupt, ProcessError, ProbeBroken) as stopped:
            return stopped
    return None


def _report(out: Console, view: "View") -> None:
    report.evidence(out, view.cells)
    out.print()
    report.staircase(out, view.plan, view.cells)
    report.surprises(out, view.cells)
    report.unmeasured(out, view.cells)


def _next(cells: Sequence[Cell]) -> dict[str, str]:
    red = next((cell for cell in cells if cell.verdict.red), None)
    commands = {}
    if red is not None:
        where = f"{report.typed(red.target)} {red.probe}"
        commands[f"{PYTHON} probe {where}"] = "one ✗ with its evidence"
        if red.expected is not None:
            commands[report.fix_of(red)] = "the fix, in colour"
    commands["make lab"] = "the notebooks, from s00 on"
    return commands


def _draw(cells: Sequence[Cell], path: str) -> None:
    from stages.lab import show  # matplotlib takes longer to import than all the rest

    show.save(show.staircase(cells), path)


class View:
    """The progress of a tour. On a terminal it is redrawn in place; elsewhere a line a verdict."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.cells: list[Cell] = []
        self.total = len(plan.targets) * len(plan.probes)
        self._start_s = perf_counter()

    @property
    def took_s(self) -> float:
        """How long it has taken so far."""
        return perf_counter() - self._start_s

    @contextmanager
    def shown(self, out: Console) -> Iterator[OnCell]:
        """Show the progress while inside; yields what to call with each cell."""
        live = out.is_interactive

        def on_cell(cell: Cell) -> None:
            self.cells.append(cell)
            if not live:
                self._tell(out, cell)

        screen = Live(self, console=out, transient=True, refresh_per_second=8)
        with screen if live else nullcontext():
            yield on_cell

    def _tell(self, out: Console, cell: Cell) -> None:
        done = f"{len(self.cells):>{len(str(self.total))}}/{self.total}"
        note = "  NOT AS EXPECTED" if cell.as_expected is False else ""
        mark = report.mark(cell)
        line(out, f"{done} ", mark, f" {cell.probe} on {cell.target}, {cell.took_s:.1f} s{note}")

    def __rich_console__(self, out: Console, options: ConsoleOptions) -> RenderResult:
        wide = max(len(target.name) for target in self.plan.targets)
        yield Text()
        for target in self.plan.targets:
            marks = [report.mark(cell) for cell in self.cells if cell.target == target.name]
            waiting = Text("·" * (len(self.plan.probes) - len(marks)), "dim")
            yield Text.assemble(f"  {target.name:<{wide}}  ", *marks, waiting)
        yield Text()
        bar = Table.grid(padding=(0, 2))
        done = f"{len(self.cells)} of {self.total}, {self.took_s:.0f} s"
        bar.add_row(ProgressBar(self.total, len(self.cells), width=options.max_width // 2), done)
        yield bar
        yield Text(self._now(), "cyan", no_wrap=True, overflow="ellipsis")

    def _now(self) -> str:
        for target in self.plan.targets:  # the first of those that are measured now
            done = sum(cell.target == target.name for cell in self.cells)
            if done < len(self.plan.probes):
                probe = self.plan.probes[done]
                return f"{probe.name} on {target.name}: {probe.question}"
        return "ending the servers"
