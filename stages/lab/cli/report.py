"""Reports: verdicts as a person reads them, from the whole staircase down to one moment."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stages import catalog
from stages.lab.bench.verdict import MARKS, State
from stages.lab.cli.console import DISAGREES, OK, PYTHON, UNMEASURED, item, line, say
from stages.lab.matrix.cells import Cell
from stages.lab.probes import Probe, find
from stages.lab.processes.targets import Target
from stages.lab.text import printable

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
HEAD_MOMENTS, TAIL_MOMENTS = 24, 8  # what a screen holds of a timeline; `--json` has all of it
LOG_LINES = 12
COLOURS: dict[State, str] = {"green": "green", "red": "red", "unmeasured": "yellow"}
LIBRARY = re.compile('File "[^"]*/site-packages/')  # long, and the same on every line

NUMBERS = {stage.stem: str(stage.number) for stage in catalog.STAGES}
TITLES = {stage.number: (stage.stem[:3], stage.title) for stage in catalog.STAGES}


@dataclass(frozen=True)
class Plan:
    """What a tour measures: all probes on all targets."""

    targets: Sequence[Target]
    probes: Sequence[Probe]

    @property
    def heads(self) -> dict[str, str]:
        """A short head of a column for each target: `s01` for a stage, a letter for the others."""
        letters = iter(LETTERS * len(self.targets))
        names = [target.name for target in self.targets]
        return {name: name[:3] if name in NUMBERS else next(letters) for name in names}


def typed(name: str) -> str:
    """Return a target as one types it: stages have a number."""
    return NUMBERS.get(name, name)


def fix_of(cell: Cell) -> str:
    """Return the command that shows the diff which makes a red cell of the catalogue green."""
    for turn in catalog.WRONG_TURNS:
        if cell.target == turn.stem and cell.probe in turn.fails:
            return f"{PYTHON} diff {turn.stem} {typed(turn.base)}"
    number = find(cell.probe).introduced_by
    return f"{PYTHON} diff {number - 1} {number}"


def mark(cell: Cell) -> Text:
    """Return ✓, ✗ or ?, with an exclamation mark where it is not what was expected."""
    colour = COLOURS[cell.verdict.state]
    if cell.as_expected is not False:
        return Text(cell.verdict.mark, colour)
    return Text(f"{cell.verdict.mark}!", f"bold reverse {colour}")


def staircase(out: Console, plan: Plan, cells: Sequence[Cell]) -> None:
    """Print the matrix: probes as rows, by the stage that introduces them; targets as columns."""
    found = {(cell.probe, cell.target): cell for cell in cells}
    heads = plan.heads
    out.print(_row("", [Text(f"{head:^3}", "bold") for head in heads.values()], plan, out.width))
    for number, probes in groupby(plan.probes, key=lambda probe: probe.introduced_by):
        stem, title = TITLES[number]
        line(out, (stem, "bold"), f"  {title}")
        for probe in probes:
            row = [found.get((probe.name, name)) for name in heads]
            marks = [Text(" ·", "dim") if cell is None else Text(" ") + mark(cell) for cell in row]
            out.print(_row(f"  {probe.name}", marks, plan, out.width))
    _legend(out, plan, cells)


def _row(name: str, marks: Sequence[Text], plan: Plan, width: int) -> Table:
    wanted = max(len(probe.name) for probe in plan.probes) + 2
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=min(wanted, max(width - 4 * len(marks), 16)), overflow="fold")
    for _ in marks:
        grid.add_column(width=3, no_wrap=True)
    grid.add_row(name, *marks)
    return grid


def _legend(out: Console, plan: Plan, cells: Sequence[Cell]) -> None:
    parts = ["✓ holds", "✗ fails"]
    if any(cell.as_expected is False for cell in cells):
        parts.append("! not what the catalogue expects")
    if not all(cell.verdict.measured for cell in cells):
        parts.append("? not measured: this machine was busy")
    if len(cells) < len(plan.targets) * len(plan.probes):
        parts.append("· not run")
    say(out, ("\n" + "   ".join(parts), "dim"))
    for name, head in plan.heads.items():
        if name not in NUMBERS:
            line(out, (f"{head} is {name}", "dim"))


def evidence(out: Console, cells: Sequence[Cell]) -> None:
    """Print each verdict that is not green in one line, by target."""
    for target, group in groupby(cells, key=lambda cell: cell.target):
        found = list(group)
        told = [cell for cell in found if not cell.verdict.green]
        if not told:
            continue
        wide = max(len(cell.probe) for cell in told)
        red, unsure = sum(cell.verdict.red for cell in told), len(_unmeasured(told))
        note = f", {unsure} not measured" if unsure else ""
        line(out, (f"\n{target}", "bold"), f"  {red} of {len(found)} probes fail{note}")
        for cell in told:
            head = Text.assemble("  ", mark(cell), f" {cell.probe:<{wide}} ")
            item(out, head, printable(cell.verdict.finding))


def surprises(out: Console, cells: Sequence[Cell]) -> None:
    """Print each verdict that the catalogue does not expect, why it may be so, and what to do."""
    found = [cell for cell in cells if cell.as_expected is False]
    if not found:
        return
    say(out, (f"\n{_verdicts(len(found))} not as the catalogue expects", "bold red"))
    for cell in found:
        wanted, got = "✓" if cell.expected else "✗", cell.verdict.mark
        say(
            out,
            f"{cell.probe} on {cell.target}: expected {wanted}, got {got} ",
            printable(cell.verdict.finding),
            indent=2,
        )
        line(out, "      ", (f"{PYTHON} probe {typed(cell.target)} {cell.probe}", "cyan"))
    say(
        out,
        "Probably the file was edited, or a library behaves in a new way. Run the line above "
        "again. If it says the same, `git diff stages` shows an edit and "
        f"`{PYTHON} doctor` compares the versions.",
        indent=2,
    )


def unmeasured(out: Console, cells: Sequence[Cell]) -> None:
    """Print each verdict that says nothing of the server, why, and what to do."""
    if not (found := _unmeasured(cells)):
        return
    say(out, (f"\n{_verdicts(len(found))} not measured", "bold yellow"))
    for cell in found:
        say(out, f"{cell.probe} on {cell.target}: ", printable(cell.verdict.finding), indent=2)
        line(out, "      ", (f"{PYTHON} probe {typed(cell.target)} {cell.probe}", "cyan"))
    say(
        out,
        "A ? is neither ✓ nor ✗: this machine did not wake in time whoever measures, so nobody can "
        "say whose the time was. Close what keeps it busy, and run the line above.",
        indent=2,
    )


def _unmeasured(cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells if not cell.verdict.measured]


def _verdicts(count: int) -> str:
    return f"{count} verdict{'' if count == 1 else 's'}"


def summary(cells: Sequence[Cell], took_s: float) -> str:
    """Return one line: how many verdicts, whether they are as expected, and how long it took."""
    known = [cell for cell in cells if cell.expected is not None]
    wrong, unsure = sum(cell.as_expected is False for cell in known), len(_unmeasured(cells))
    if not known:
        green = sum(cell.verdict.green for cell in cells)
        what = f"{green} of {_verdicts(len(cells))} green"
    elif wrong:
        what = f"{wrong} of {_verdicts(len(cells))} not as expected"
    elif unsure:
        what = f"{len(cells) - unsure} of {_verdicts(len(cells))} as expected"
    else:
        what = f"{_verdicts(len(cells))}, all as expected"
    note = f", {unsure} not measured" if unsure else ""
    return f"{what}{note}, in {took_s:.0f} s."


def exit_code(cells: Sequence[Cell]) -> int:
    """Return OK when all is as expected; of a file of the learner's own, when all is green.

    UNMEASURED when there is nothing against it but a verdict that says nothing.
    """
    bad = (
        cell.verdict.red if cell.expected is None else cell.as_expected is False for cell in cells
    )
    if any(bad):
        return DISAGREES
    return UNMEASURED if _unmeasured(cells) else OK


def verdict(out: Console, cell: Cell, probe: Probe) -> None:
    """Print one verdict; unless it is green, also the cases, the timeline, and the log."""
    note = _note(cell, probe)
    say(out, "\n", mark(cell), (f" {cell.probe}", "bold"), (f"  {note}" if note else "", "dim"))
    say(out, (probe.question, "dim"), indent=4)
    say(out, printable(cell.verdict.finding), indent=4)
    if cell.verdict.green and cell.as_expected:
        return
    _section(out, "the rule")
    say(out, probe.rule, indent=6)
    _section(out, "the cases")
    for case in cell.verdict.details:
        head, _, rest = printable(case).partition(" ")
        colour = next(COLOURS[state] for state, sign in MARKS.items() if sign == head)
        item(out, Text(f"      {head}", colour), rest)
    _section(out, "what happened, in the first case that fails")
    for moment in _timeline(cell):
        line(out, "      ", moment)
    _section(out, "the end of the server's log")
    for text in cell.log.rstrip().splitlines()[-LOG_LINES:] or ["it wrote nothing"]:
        say(out, (printable(LIBRARY.sub('File "…/', text.expandtabs())), "dim"), indent=6)


def _note(cell: Cell, probe: Probe) -> str:
    if cell.as_expected is False:
        return f"not expected: it should be {'green' if cell.expected else 'red'}"
    if not cell.verdict.red or cell.expected is None:
        return ""
    stem = next(stage.stem for stage in catalog.STAGES if stage.number == probe.introduced_by)
    return f"as expected: {stem} makes it green" if cell.target in NUMBERS else "as expected"


def _section(out: Console, title: str) -> None:
    say(out, (title, "italic cyan"), indent=4)


def _timeline(cell: Cell) -> list[str]:
    moments = [printable(str(moment)) for moment in cell.verdict.timeline]
    left_out = len(moments) - HEAD_MOMENTS - TAIL_MOMENTS
    if left_out > 1:
        moments[HEAD_MOMENTS:-TAIL_MOMENTS] = [f"          … {left_out} more, in --json …"]
    return moments
