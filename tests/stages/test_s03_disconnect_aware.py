"""s03 promises: whoever opens the upstream closes it, at once, on every path."""

import asyncio
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stages.lab.bench.bench import Bench
from stages.lab.processes.census import census
from stages.lab.upstream.ledger import Entry
from stages.lab.upstream.script import Pause, Refusal, Role, Script, Token

SEED = 20_261_120  # the same moments in every run
LEAVES = 200
AT_ONCE_S = 2.0  # 200 leaves at once keep both cores busy; one alone takes 5 ms


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench("s03_disconnect_aware") as bench:
        yield bench


def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds, or a deadline is over; what is asserted then says which."""
    deadline_s = time.monotonic() + AT_ONCE_S
    while not holds() and time.monotonic() < deadline_s:
        asyncio.run(asyncio.sleep(0.01))


def records(bench: Bench, count: int = 0) -> list[tuple[str, int, float]]:
    """Return the records in the server's log, once there are so many."""
    until(lambda: len(found(bench)) >= count)
    return [(outcome, int(events), float(seconds)) for outcome, events, seconds in found(bench)]


def found(bench: Bench) -> list[tuple[str, str, str]]:
    return re.findall(r"outcome=(\w+) events=(\d+) duration_s=([\d.]+)", bench.server.log)


async def leave_at_random(bench: Bench, prompt: str, moment: random.Random) -> None:
    """Leave somewhere between the request and the tenth token, by FIN or by RST."""
    async with bench.client(prompt) as client:
        events = moment.randrange(-1, 10)
        if events >= 0:
            await client.read(lambda: len(client.events) >= events, deadline_s=10)
        client.leave(moment.choice(["fin", "rst"]))


@dataclass(frozen=True)
class Storm:
    """Two hundred leaves, and what there was before and after them. No files where no /proc is."""

    files: tuple[int, int]
    tasks: tuple[int, int]
    entries: list[Entry]
    records: list[tuple[str, int, float]]


@pytest.fixture(scope="module")
def storm() -> Iterator[Storm]:
    """One storm for all that it may leave behind."""
    with Bench("s03_disconnect_aware") as bench:
        asyncio.run(bench.ask(Script.answer("warm up")))
        files, tasks, count = open_files(bench), running_tasks(bench), len(records(bench, 1))
        entries = asyncio.run(leave_at_any_moment(bench))
        left = records(bench, count + len(entries))[count:]
        until(lambda: open_files(bench) <= files and running_tasks(bench) <= tasks)
        yield Storm((files, open_files(bench)), (tasks, running_tasks(bench)), entries, left)


async def leave_at_any_moment(bench: Bench) -> list[Entry]:
    moment = random.Random(SEED)
    tokens = [Token(f"{i} ", delay_s=0.01) for i in range(3000)]
    prompt = await bench.register(Script((Role(), *tokens)))
    for _ in range(LEAVES // 20):
        await asyncio.gather(*(leave_at_random(bench, prompt, moment) for _ in range(20)))
    entries = await bench.entries(prompt)
    return await bench.entries(prompt, "left", len(entries), AT_ONCE_S)


def open_files(bench: Bench) -> int:
    return len(list(Path(f"/proc/{bench.server.pid}/fd").glob("*")))


def running_tasks(bench: Bench) -> int:
    return asyncio.run(census(bench.server)).tasks


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc, as Linux has it")
def test_after_two_hundred_leaves_no_socket_is_left(storm: Storm) -> None:
    before, after = storm.files

    assert 0 < after <= before


def test_after_two_hundred_leaves_no_task_is_left(storm: Storm) -> None:
    before, after = storm.tasks

    assert 0 < after <= before


def test_after_two_hundred_leaves_no_upstream_is_open(storm: Storm) -> None:
    assert len(storm.entries) > LEAVES // 2  # some leave before the upstream is asked
    assert [entry.id for entry in storm.entries if entry.left is None] == []


def test_every_stream_of_a_storm_leaves_one_record(storm: Storm) -> None:
    assert {outcome for outcome, _, _ in storm.records} == {"client_closed"}
    assert len(storm.entries) <= len(storm.records) <= LEAVES


def test_a_record_has_the_seconds_that_the_stream_took(bench: Bench) -> None:
    asyncio.run(bench.ask(Script((Role(), Token("a"), Pause(0.5), Token("b")))))

    ((_, events, seconds),) = records(bench, 1)
    assert events == 2
    assert 0.5 <= seconds < 5  # the pause, and what a busy machine adds


def test_a_refusal_leaves_a_record_too(bench: Bench) -> None:
    asyncio.run(bench.ask(Script(refusal=Refusal(500))))

    ((outcome, events, _),) = records(bench, 1)
    assert (outcome, events) == ("upstream_failed", 0)


def test_a_bad_request_leaves_none(bench: Bench) -> None:
    async def ask() -> int | None:
        async with bench.client_with(b"{}") as client:
            await client.read(deadline_s=10)
        return client.status

    assert asyncio.run(ask()) == 422
    assert records(bench) == []
