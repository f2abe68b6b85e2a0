"""Lanes: several targets measured at the same time, each in a process of its own.

Most of a probe is waiting, and two servers wait as well as one. A lane is a process and not a
thread: a client that is held up by another's work would measure that.
"""

import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from stages.lab.matrix import Cell, OnCell, ProbeBroken, probe
from stages.lab.process import ROOT, ProcessError
from stages.lab.targets import Target, find
from stages.lab.verdict import Moment, Verdict

FAILURES: dict[str, type[Exception]] = {"ProcessError": ProcessError, "ProbeBroken": ProbeBroken}
LINE_BYTES = 64 * 1024 * 1024  # a cell holds the log of its server
COUNT = 2  # measured on two cores: a third makes every probe slower and the tour no faster


def to_line(cell: Cell) -> str:
    """Return a cell as one line."""
    return json.dumps({"cell": asdict(cell)})


def from_line(line: str | bytes) -> Cell:
    """Return the cell of a line; raises ProcessError or ProbeBroken where the lane did."""
    document = json.loads(line)
    if "failed" in document:
        raise FAILURES[document["failed"]](document["message"])
    fields: dict[str, Any] = document["cell"]
    verdict = fields.pop("verdict")
    verdict["details"] = tuple(verdict["details"])
    verdict["timeline"] = tuple(Moment(**moment) for moment in verdict["timeline"])
    return Cell(verdict=Verdict(**verdict), **fields)


async def tour(
    targets: Iterable[Target],
    on_cell: OnCell = lambda cell: None,
    *,
    names: Sequence[str] = (),
    lanes: int = COUNT,
) -> list[Cell]:
    """Run every probe on every target, `lanes` targets at a time; returns the cells in their order.

    `names` are those of the probes, all of them when there is none. `on_cell` is told of each cell
    as it comes. Raises ProcessError when a server does not start and
    ProbeBroken when a probe gives no verdict; then, and when cancelled, the other lanes end too.
    """
    gate = asyncio.Semaphore(lanes)

    async def lane(target: Target) -> list[Cell]:
        async with gate, _process(target.name, *names) as process:
            assert process.stdout is not None  # it is a pipe
            cells = []
            async for line in process.stdout:
                cells.append(from_line(line))
                on_cell(cells[-1])
        return cells

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(lane(target)) for target in targets]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [cell for task in tasks for cell in task.result()]


@asynccontextmanager
async def _process(*words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a lane; at the end of the context it has ended, and its servers with it."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", __name__, *words),
        stdin=asyncio.subprocess.PIPE,  # its leash: it ends when this does
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        limit=LINE_BYTES,
        start_new_session=True,  # Ctrl-C reaches us only, and we end it
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def main(argv: Sequence[str]) -> None:
    """Measure the target that comes first, by the probes behind it; write a line for each cell."""
    target, *names = argv
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        told = probe(find(target), *names, on_cell=lambda cell: print(to_line(cell), flush=True))
        asyncio.run(told)
    except (ProcessError, ProbeBroken) as exc:
        print(json.dumps({"failed": type(exc).__name__, "message": str(exc)}), flush=True)


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # the parent never writes: this returns when its end closes
    os._exit(1)  # the servers have leashes of their own, and end with this process


if __name__ == "__main__":
    main(sys.argv[1:])
