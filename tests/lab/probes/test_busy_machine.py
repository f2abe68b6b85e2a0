"""On a busy machine nothing late is taken for ✓, and nothing in time for ✗.

Each mutant is late by twice what the rule allows, and by nothing else. STAGES_RUNS says how often
each is measured, three times without it.
"""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from stages.lab.bench.verdict import Verdict
from stages.lab.matrix.lanes import tour
from stages.lab.processes.targets import find
from tests.helpers.places import STAGES

RUNS = int(os.environ.get("STAGES_RUNS", "3"))
FORGIVEN = 20  # of so many runs of a mutant, one may say that it could not tell
LATER = "asyncio.get_running_loop().call_later"


@dataclass(frozen=True)
class Mutant:
    """A stage that does one thing late: `old` becomes `new`, and `probe` has to see it."""

    stem: str
    old: str
    new: str
    probe: str

    def written(self, folder: Path) -> str:
        """Write it into a folder; returns its path."""
        source = (STAGES / f"{self.stem}.py").read_text()
        assert source.count(self.old) == 1, self
        path = folder / f"{self.stem[:3]}_late.py"
        path.write_text(source.replace(self.old, self.new))
        return str(path)


MUTANTS = {
    "a reader that stalls is cut after 3 s instead of 1": Mutant(
        "s04_backpressured",
        "anyio.fail_after(SEND_TIMEOUT_S)",
        "anyio.fail_after(SEND_TIMEOUT_S + 2)",
        "stalled-reader-is-cut",
    ),
    "a silent upstream is cut after 5 s instead of 2": Mutant(
        "s04_backpressured",
        "timeout=UPSTREAM_IDLE_S)",
        "timeout=UPSTREAM_IDLE_S + 3)",
        "silent-upstream-is-cut",
    ),
    "a slot comes back after half a second": Mutant(
        "s04_backpressured",
        "        slots.release()",
        f"        {LATER}(0.5, slots.release)",
        "slot-is-returned",
    ),
    "a refusal takes 0.2 s instead of 0.1": Mutant(
        "s04_backpressured",
        '    body = problem("too_many_streams"',
        '    await anyio.sleep(0.2)\n    body = problem("too_many_streams"',
        "crowd-is-refused",
    ),
    "the upstream is closed half a second after the client has left": Mutant(
        "s04_backpressured",
        "            yield backlog, record\n",
        "            yield backlog, record\n            await anyio.sleep(0.5)\n",
        "leave-mid-stream",
    ),
    "a row is final after 2 s": Mutant(
        "s05_shielded_usage",
        "await record.finish()",
        "await anyio.sleep(2), await record.finish()",
        "left-is-accounted",
    ),
    "a server ends 10 s after it was told to": Mutant(
        "s05_shielded_usage",
        "    yield\n    with anyio.move_on_after(DRAIN_S):",
        "    yield\n    await anyio.sleep(7.5)\n    with anyio.move_on_after(DRAIN_S):",
        "shutdown-is-accounted",
    ),
    "the first token's time is 0.2 s too long": Mutant(
        "s06_telemetry",
        "FIRST_TOKEN_S.observe(self.first_s - self.start_s)",
        "FIRST_TOKEN_S.observe(self.first_s - self.start_s + 0.2)",
        "first-token-time-is-true",
    ),
    "the gauge comes back after 4 s": Mutant(
        "s06_telemetry",
        "IN_FLIGHT.dec()",
        f"{LATER}(4, IN_FLIGHT.dec)",
        "in-flight-returns-to-zero",
    ),
}


@contextmanager
def busy() -> Iterator[None]:
    """Keep every core busy."""
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while 1: pass"]))
            stack.callback(process.kill)
        yield


def verdict(target: str, probe: str) -> Verdict:
    (cell,) = asyncio.run(tour([find(target)], names=[probe]))
    return cell.verdict


@pytest.mark.slow("mutants on a busy machine")
@pytest.mark.timeout(120 * RUNS)
@pytest.mark.parametrize("name", MUTANTS)
def test_what_is_late_by_twice_the_rule_is_red_on_a_busy_machine(name: str, tmp_path: Path) -> None:
    mutant = MUTANTS[name]
    target = mutant.written(tmp_path)

    with busy():
        found = Counter(verdict(target, mutant.probe).state for _ in range(RUNS))

    assert found["green"] == 0
    assert found["unmeasured"] <= -(-RUNS // FORGIVEN), found


@pytest.mark.slow("mutants, quiet")
@pytest.mark.parametrize("name", MUTANTS)
def test_what_is_late_by_twice_the_rule_is_red_at_once_on_a_quiet_one(
    name: str, tmp_path: Path
) -> None:
    mutant = MUTANTS[name]

    assert verdict(mutant.written(tmp_path), mutant.probe).red


@pytest.mark.slow("stages on a busy machine")
@pytest.mark.timeout(120 * RUNS)
@pytest.mark.parametrize("name", MUTANTS)
def test_what_is_in_time_is_not_red_on_a_busy_machine(name: str) -> None:
    mutant = MUTANTS[name]

    with busy():
        found = [verdict(mutant.stem, mutant.probe) for _ in range(RUNS)]

    assert [one for one in found if one.red] == []
