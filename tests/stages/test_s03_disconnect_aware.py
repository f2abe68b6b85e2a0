"""s03 promises: whoever opens the upstream closes it, at once, on every path."""

import asyncio
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from stages.lab.bench.bench import Bench
from stages.lab.processes.census import Census, census
from stages.lab.upstream.ledger import Entry
from stages.lab.upstream.script import Pause, Refusal, Role, Script, Token
from tests.helpers.until import until

SEED = 20_261_120  # the same moments in every run
LEAVES = 200
AT_ONCE_S = 2.0  # 200 leaves at once keep both cores busy; one alone takes 5 ms
RECORD = r"outcome=(\w+) events=(\d+) duration_s=([\d.]+)"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench("s03_disconnect_aware") as bench:
        yield bench


def records(bench: Bench, count: int = 0) -> list[tuple[str, int, float]]:
    """Return the records in the server's log, once there are so many."""
    found = until(
        lambda: re.findall(RECORD, bench.server.log),
        lambda found: len(found) >= count,
        f"log with {count} records",
        deadline_s=AT_ONCE_S,
    )
    return [(outcome, int(events), float(seconds)) for outcome, events, seconds in found]


async def leave_at_random(bench: Bench, prompt: str, moment: random.Random) -> None:
    """Leave somewhere between the request and the tenth token, by FIN or by RST."""
    async with bench.client(prompt) as client:
        events = moment.randrange(-1, 10)
        if events >= 0:
            await client.read(lambda: len(client.events) >= events, deadline_s=10)
        client.leave(moment.choice(["fin", "rst"]))


@dataclass(frozen=True)
class Storm:
    """Two hundred leaves, and what the server held before and after them."""

    before: Census
    after: Census
    entries: list[Entry]
    records: list[tuple[str, int, float]]


@pytest.fixture(scope="module")
def storm() -> Iterator[Storm]:
    """One storm for all that it may leave behind."""
    with Bench("s03_disconnect_aware") as bench:
        asyncio.run(bench.ask(Script.answer("warm up")))
        before, count = held(bench), len(records(bench, 1))
        entries = asyncio.run(leave_at_any_moment(bench))
        left = records(bench, count + len(entries))[count:]
        after = until(
            lambda: held(bench),
            lambda now: now.open_files <= before.open_files and now.tasks <= before.tasks,
            f"server that holds what it held before, {before},",
            deadline_s=AT_ONCE_S,
        )
        yield Storm(before, after, entries, left)


async def leave_at_any_moment(bench: Bench) -> list[Entry]:
    moment = random.Random(SEED)
    tokens = [Token(f"{i} ", delay_s=0.01) for i in range(3000)]
    prompt = await bench.register(Script((Role(), *tokens)))
    for _ in range(LEAVES // 20):
        await asyncio.gather(*(leave_at_random(bench, prompt, moment) for _ in range(20)))
    entries = await bench.entries(prompt)
    return await bench.entries(prompt, "left", len(entries), AT_ONCE_S)


def held(bench: Bench) -> Census:
    return asyncio.run(census(bench.server))


def test_after_two_hundred_leaves_no_socket_is_left(storm: Storm) -> None:
    assert 0 < storm.after.open_files <= storm.before.open_files


def test_after_two_hundred_leaves_no_task_is_left(storm: Storm) -> None:
    assert 0 < storm.after.tasks <= storm.before.tasks


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
