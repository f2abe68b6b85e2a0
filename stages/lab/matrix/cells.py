"""The matrix: every probe on every stage, beside what the catalogue expects of it."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from time import perf_counter

from stages import catalog
from stages.lab.bench.bench import Bench
from stages.lab.bench.verdict import Verdict, complain
from stages.lab.probes import Probe, find
from stages.lab.processes.process import Process
from stages.lab.processes.targets import Target
from stages.lab.processes.targets import find as find_target

CRASH_S = 0.1  # a connection breaks a moment before its process has ended
PROBE_S = 60.0  # a probe has deadlines of its own; this one says that a probe itself is broken
AGAIN = 2  # so often a verdict is tried again that says nothing of the server


class ProbeBroken(RuntimeError):
    """A probe gave no verdict. The fault is the lab's: a probe answers, whatever a server does."""


@dataclass(frozen=True)
class Cell:
    """One verdict of the matrix. `log` is what the server under test wrote meanwhile."""

    target: str
    probe: str
    verdict: Verdict
    expected: bool | None
    took_s: float
    log: str = ""

    @property
    def as_expected(self) -> bool | None:
        """Whether the verdict is what the catalogue says; true where that says nothing.

        None where nothing was measured: that is neither.
        """
        if not self.verdict.measured:
            return None
        return self.expected is None or self.verdict.green == self.expected

    @property
    def surprise(self) -> str | None:
        """One line for an unexpected verdict, None for an expected one, and where there is none."""
        if self.as_expected is not False:
            return None
        wanted = "green" if self.expected else "red"
        return f"{self.probe} on {self.target} should be {wanted}: {self.verdict}"


OnCell = Callable[[Cell], None]


async def measure(bench: Bench, probe: Probe) -> Cell:
    """Run one probe on the bench's server, under the eyes of its witness; returns its cell.

    A server that ends during a probe is a red verdict; the next probe gets a new one. Raises
    ProcessError when that does not start, and ProbeBroken when the probe itself gives no verdict.
    """
    stem, server = bench.target.stem, bench.server
    before = {each for each in bench.servers if each.exit_code is not None}
    logs_before, start_s = {each: len(each.log) for each in bench.servers}, perf_counter()
    verdict = await _verdict(bench, probe, server, before)
    if not verdict.green and (crashed := _crashed(bench, before)):
        told = f"{verdict.finding}: the server ended with exit code {crashed[0].exit_code}"
        verdict = replace(verdict, state="red", finding=told)
    expected = None if stem is None else catalog.expected(probe.name, stem)
    # A probe may use servers in several shapes: what went wrong stands in the log of one of them.
    log = "".join(each.log[logs_before.get(each, 0) :] for each in bench.servers)
    return Cell(bench.target.name, probe.name, verdict, expected, perf_counter() - start_s, log)


async def _verdict(bench: Bench, probe: Probe, server: Process, before: set[Process]) -> Verdict:
    """Return the probe's verdict, or ours on a server that kept it from one; raises ProbeBroken."""
    with bench.witness as witness:
        try:
            async with asyncio.timeout(PROBE_S) as limit:
                return await probe.measure(bench)
        except Exception as exc:
            if limit.expired():
                told = f"no verdict after {PROBE_S:g} s: probably the server hangs"
                since_s = time.monotonic() - PROBE_S
                return complain(witness.never(told, PROBE_S, since_s=since_s))
            if _crashed(bench, before):
                return complain("the probe could not go on")
            raise ProbeBroken(
                f"The probe {probe.name} gave no verdict on {bench.target.name}: {exc!r}. "
                f"{server.log_tail()}"
            ) from exc


def _crashed(bench: Bench, before: set[Process]) -> list[Process]:
    """Return the servers that have ended since, and not because a probe told them to."""
    return [
        each
        for each in bench.servers
        if each not in before and not each.signalled and each.wait(CRASH_S)
    ]


async def one_by_one(
    target: str | int | Target,
    *names: str,
    on_cell: OnCell = lambda cell: None,
    again: int = AGAIN,
) -> list[Cell]:
    """Run probes on one server of a target, one after the other; returns their cells.

    `on_cell` is told of each cell as it comes. Where the machine was too busy to tell, a probe is
    run once more, so often as `again` says. Raises TargetError, ProbeError, and ProcessError when
    the server does not start.
    """
    cells = []
    with Bench(target) as bench:
        for chosen in map(find, names):
            cell, left = await measure(bench, chosen), again
            while not cell.verdict.measured and left:
                cell, left = await measure(bench, chosen), left - 1
            cells.append(cell)
            on_cell(cell)
    return cells


def stage_targets() -> list[Target]:
    """Return all stages as targets."""
    return [find_target(stage.stem) for stage in catalog.STAGES]


def to_json(cells: Sequence[Cell]) -> str:
    """Return all cells with their evidence as a JSON list."""
    return json.dumps(
        [{**asdict(cell), "as_expected": cell.as_expected} for cell in cells], indent=1
    )
