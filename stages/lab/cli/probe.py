"""The command `probe`: one server, all probes or a few, with the evidence."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.text import Text

from stages import catalog
from stages.lab.cli import report
from stages.lab.cli.console import INTERRUPTED, UsageError, can_write, console, keep, say, type_next
from stages.lab.clients.dialects import DIALECTS
from stages.lab.matrix import lanes
from stages.lab.matrix.cells import Cell, to_json
from stages.lab.matrix.lanes import FEW
from stages.lab.probes import Probe, all_probes, of_wrong_turn
from stages.lab.probes import find as find_probe
from stages.lab.processes.targets import Target, find


def probe(
    name: str, probes: Sequence[str], *, json_to: str | None, dialect: str | None, every: bool
) -> int:
    """Measure the probes on one target and print the evidence; returns the exit code.

    Without a probe's name it runs all of them; on a file whose name begins with `s03`, those up to
    stage 3; on a wrong turn, those that the catalogue asks of it; with `every`, all again. Raises
    TargetError, ProbeError and UsageError, and what a broken server or probe raises.
    """
    out = console(stderr=json_to == "-")
    target = speaking(find(name), dialect)
    chosen = [find_probe(one) for one in dict.fromkeys(probes)] or by_default(target, every=every)
    if json_to is not None:
        can_write(json_to)
    say(out, (target.name, "bold"), f"  {_what(chosen, target, by_name=bool(probes))}")
    cells: list[Cell] = []
    start_s = perf_counter()
    try:
        _measure(out, target, chosen, cells)
    except KeyboardInterrupt:
        say(
            out,
            f"\nInterrupted after {len(cells)} of {len(chosen)} probes. The server has been ended.",
        )
        return INTERRUPTED
    if json_to is not None:
        keep(out, json_to, f"{to_json(cells)}\n")
    _close(out, target, cells, perf_counter() - start_s)
    return report.exit_code(cells)


def speaking(target: Target, dialect: str | None) -> Target:
    """Return the target, told how it speaks when a dialect is given; raises UsageError."""
    if dialect is None:
        return target
    if dialect not in DIALECTS:
        raise UsageError(f"There is no dialect {dialect!r}. There are: {', '.join(DIALECTS)}.")
    return replace(target, dialect=DIALECTS[dialect])


def by_default(target: Target, *, every: bool) -> list[Probe]:
    """Return the probes of a target for which no name is given."""
    number = re.match(r"s(\d\d)", Path(target.name).name)
    for turn in catalog.WRONG_TURNS:
        if turn.stem == target.stem and not every:
            return of_wrong_turn(turn)
    if target.stem is not None or every or number is None:
        return all_probes()
    return all_probes(up_to=int(number[1])) or all_probes()


def _what(chosen: Sequence[Probe], target: Target, *, by_name: bool) -> str:
    count = f"{len(chosen)} probe{'' if len(chosen) == 1 else 's'}"
    if by_name or len(chosen) == len(all_probes()):
        return count
    if target.stem is not None:
        return f"{count}: those up to its stage, and those that it fails; --all runs all"
    last = max(probe.introduced_by for probe in chosen)
    return f"{count}: those up to stage {last}, as its name says; --all runs all"


def _measure(out: Console, target: Target, chosen: Sequence[Probe], cells: list[Cell]) -> None:
    """Run the probes and print each verdict in the order in which they were chosen."""
    names, measured = [one.name for one in chosen], dict[str, Cell]()

    def tell(cell: Cell) -> None:
        measured[cell.probe] = cell
        while len(cells) < len(chosen) and (found := measured.get(names[len(cells)])) is not None:
            report.verdict(out, found, chosen[len(cells)])
            cells.append(found)
        if len(cells) < len(chosen):
            status.update(_now(chosen[len(cells)]))

    with out.status(_now(chosen[0])) as status:
        asyncio.run(lanes.probe(target, *names, on_cell=tell))


def _now(probe: Probe) -> Text:
    return Text(f"{probe.name}: {probe.question}", no_wrap=True, overflow="ellipsis")


def _close(out: Console, target: Target, cells: Sequence[Cell], took_s: float) -> None:
    report.surprises(out, cells)
    report.unmeasured(out, cells)
    say(out, ("\n" + report.summary(cells, took_s), "bold"))
    red = [cell for cell in cells if cell.verdict.red]
    if target.stem is None and len(red) == len(cells) > FEW:  # who names a few knows
        say(
            out,
            "Every probe is red. Does the file answer POST /chat with an event stream, and is its "
            "app called `app`?",
        )
    elif red and red[0].as_expected and red[0].expected is not None:
        type_next(out, {report.fix_of(red[0]): "the fix"})
