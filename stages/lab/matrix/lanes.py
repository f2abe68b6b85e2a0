"""Lanes: several servers measured at the same time, each in a process of its own.

Most of a probe is waiting, and four servers wait as well as one. A lane is a process and not a
thread: a client that is held up by another's work would measure that. A target is measured in
several shares of the probes, with a server for each.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from tempfile import TemporaryDirectory
from typing import Any

from stages.lab.bench.verdict import Moment, Verdict
from stages.lab.clients.dialects import DIALECTS
from stages.lab.matrix.cells import AGAIN, Cell, OnCell, ProbeBroken, one_by_one
from stages.lab.probes import all_probes
from stages.lab.probes import find as find_probe
from stages.lab.processes.children import Child
from stages.lab.processes.leash import end_with_parent
from stages.lab.processes.process import NotReady, ProcessError, how_ended
from stages.lab.processes.start import start
from stages.lab.processes.targets import Target, find

FAILURES: dict[str, type[Exception]] = {
    kind.__name__: kind for kind in (NotReady, ProcessError, ProbeBroken)
}
LINE_BYTES = 64 * 1024 * 1024  # a cell holds the log of its server
STDERR = 2  # ours: what a lane says of itself is for who runs it
COUNT = 4  # measured on two cores: a tour takes 75 s, and 92 s beside two busy loops
FEW = 5  # measured by one server, one after the other, before a second one has paid
SHARES = 2  # of a target: the last one to be measured is not waited for by three idle lanes


def to_line(cell: Cell) -> str:
    """Return a cell as one line."""
    return json.dumps({"cell": asdict(cell)})


def from_line(line: str | bytes) -> Cell:
    """Return the cell of a line; raises what the lane did, if it is one of FAILURES."""
    document = json.loads(line)
    if "failed" in document:
        raise FAILURES[document["failed"]](document["message"])
    fields: dict[str, Any] = document["cell"]
    verdict = fields.pop("verdict")
    verdict["details"] = tuple(verdict["details"])
    verdict["timeline"] = tuple(Moment(**moment) for moment in verdict["timeline"])
    return Cell(verdict=Verdict(**verdict), **fields)


async def probe(
    target: str | int | Target,
    *names: str,
    up_to: int | None = None,
    on_cell: OnCell = lambda cell: None,
) -> list[Cell]:
    """Run probes on a target, all of them when no name is given; returns their cells in that order.

    `target` is a stage's number, a stem of the catalogue, or the path of a file. `up_to` leaves out
    the probes of later stages than this number. More than FEW are measured in lanes, and `on_cell`
    is told of each cell as it comes. Raises TargetError, ProbeError, and what `tour` raises.
    """
    place = target if isinstance(target, Target) else find(target)
    named = [find_probe(name) for name in dict.fromkeys(names)] or all_probes(up_to)
    chosen = [one.name for one in named]
    if len(chosen) > FEW:
        return await tour([place], on_cell, names=chosen)
    return await one_by_one(place, *chosen, on_cell=on_cell)


async def tour(
    targets: Iterable[Target],
    on_cell: OnCell = lambda cell: None,
    *,
    names: Sequence[str] = (),
    lanes: int = COUNT,
) -> list[Cell]:
    """Run every probe on every target in as many lanes; returns the cells in their order.

    `names` are those of the probes, all of them when there is none. `on_cell` is told of each cell
    as it comes. What could not be measured, because the machine was too busy to tell, is measured
    again at the end, alone, up to AGAIN times, and told then. Raises ProcessError when a server
    does not start and ProbeBroken when a probe gives no verdict; then, and when cancelled, the
    other lanes end too.
    """
    gate, targets = asyncio.Semaphore(lanes), list(targets)
    names = list(names) or [one.name for one in all_probes()]
    cells = dict[tuple[str, str], Cell]()

    async def lane(target: Target, share: Sequence[str]) -> None:
        async with gate, aclosing(_lane(target, share)) as measured:
            async for cell in measured:
                cells[target.name, cell.probe] = cell
                if cell.verdict.measured:
                    on_cell(cell)

    try:
        async with asyncio.TaskGroup() as group:
            for target, share in product(targets, _shares(names, len(targets), lanes)):
                group.create_task(lane(target, share))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    for target, name in product(targets, names):
        for _ in range(AGAIN):
            if not cells[target.name, name].verdict.measured:
                await lane(target, [name])
        if not cells[target.name, name].verdict.measured:
            on_cell(cells[target.name, name])
    return [cells[target.name, name] for target, name in product(targets, names)]


def _shares(names: Sequence[str], targets: int, lanes: int) -> list[Sequence[str]]:
    """Return the names of the probes in shares, so many that of few targets no lane is idle."""
    count = max(min(SHARES, lanes), lanes // max(1, targets))
    # Every second one each, or so: neighbours are alike in what they take.
    return [share for i in range(count) if (share := names[i::count])]


async def _lane(target: Target, share: Sequence[str]) -> AsyncGenerator[Cell]:
    """Measure a share of the probes in a process of its own; yields each cell as it comes."""
    left = set(share)
    async with _process(target.name, target.dialect.name, *share) as process:
        async for line in process.stdout:
            cell = from_line(line)
            left.remove(cell.probe)
            yield cell
        if left:
            raise ProcessError(
                f"A lane of {target.name} ended {how_ended(await process.wait())} before its "
                "last probe. Probably it was killed, or memory is short. Run it again."
            )


class Lane:
    """A lane that runs: the lines that it writes, and its end."""

    def __init__(self, child: Child, stdout: asyncio.StreamReader) -> None:
        self._child, self.pid, self.stdout = child, child.pid, stdout

    async def wait(self) -> int:
        """Return the exit code, once it has ended."""
        await asyncio.to_thread(self._child.wait)
        assert self._child.returncode is not None
        return self._child.returncode


@asynccontextmanager
async def _process(*words: str) -> AsyncIterator[Lane]:
    """Run a lane; at the end of the context it has ended, and its servers with it."""
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())  # a lane that is killed cannot tidy up
        ours, theirs = os.pipe()
        lines = stack.enter_context(os.fdopen(ours, "rb"))
        try:
            child = start(
                (__name__, *words),
                env={"TMPDIR": folder},
                stdout=theirs,
                stderr=STDERR,
                leash=True,
                starts_more=True,
            )
        finally:
            os.close(theirs)
        stack.callback(child.close)
        stdout = asyncio.StreamReader(limit=LINE_BYTES)
        loop, protocol = asyncio.get_running_loop(), asyncio.StreamReaderProtocol(stdout)
        try:
            reading, _ = await loop.connect_read_pipe(lambda: protocol, lines)
            stack.callback(reading.close)
            lane = Lane(child, stdout)
            yield lane
            await lane.wait()
        finally:
            child.kill()


def main(argv: Sequence[str]) -> None:
    """Measure a target, in a dialect, by the probes that are named; write a line for each cell."""
    name, dialect, *names = argv
    target = replace(find(name), dialect=DIALECTS[dialect])
    end_with_parent()
    try:
        told = partial(print, flush=True)
        asyncio.run(one_by_one(target, *names, on_cell=lambda cell: told(to_line(cell)), again=0))
    except (ProcessError, ProbeBroken) as exc:
        print(json.dumps({"failed": type(exc).__name__, "message": str(exc)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
