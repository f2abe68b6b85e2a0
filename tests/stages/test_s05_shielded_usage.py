"""s05 promises: every stream is accounted for exactly once, however it ends."""

import asyncio
import random
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from stages.lab import probe
from stages.lab.bench.accounts import Row, busy, final, rows, wait
from stages.lab.bench.bench import SMALL_BYTES, Bench
from stages.lab.clients.client import Client
from stages.lab.clients.dialects import read
from stages.lab.processes.process import Process
from stages.lab.processes.serve import ServerOptions
from stages.lab.upstream.script import (
    Cut,
    Done,
    Finish,
    InBandError,
    Pause,
    Refusal,
    Role,
    Script,
    Token,
)
from stages.lab.upstream.script import Usage as Counts
from tests.helpers.places import SERVERS, STAGES

SEED = 20_261_120  # the same streams in every run
STREAMS = 1000
AT_ONCE = 20
COME_S = 20.0
PATIENT = (("UPSTREAM_IDLE_S", "30"), ("SEND_TIMEOUT_S", "30"))
TALKING = Script((Role(), *(Token(f"{i} ", delay_s=0.05) for i in range(600))))


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench("s05_shielded_usage") as bench:
        yield bench


def tokens(count: int) -> tuple[Token, ...]:
    return tuple(Token(f"{i} ") for i in range(count))


@dataclass(frozen=True)
class Plan:
    """A stream: what the upstream does, where the client leaves, and what its row has to say."""

    script: Script
    row: tuple[str, str, int | None, int]
    leaves_at: int | None = None
    stalls: bool = False


def plan(number: int, chance: random.Random) -> Plan:
    """Return a stream that ends in a random way; provider's counts tell each from the others."""
    count = chance.randrange(1, 8)
    match chance.choices(("done", "uncounted", "left", "cut", "error", "refused"), k=1)[0]:
        case "done":
            usage = Counts(number, number + 1)
            script = Script((Role(), *tokens(count), Finish(), usage, Done()))
            return Plan(script, ("completed", "provider", number, number + 1))
        case "uncounted":
            script = Script((Role(), *tokens(count), Finish(), Done()))
            return Plan(script, ("completed", "counted", None, count))
        case "left":
            script = Script((Role(), *tokens(count), Pause(30.0)))
            return Plan(script, ("client_closed", "counted", None, count), leaves_at=count)
        case "cut":
            script = Script((Role(), *tokens(count), Cut()))
        case "error":
            script = Script((Role(), *tokens(count), InBandError()))
        case _:
            return Plan(Script(refusal=Refusal(500)), ("upstream_failed", "counted", None, 0))
    return Plan(script, ("upstream_failed", "counted", None, count))


MUCH = Script((Role(), *[Token("x" * 4000)] * 500))
STALLED = Plan(MUCH, ("client_stalled", "counted", None, 0), stalls=True)


async def play(bench: Bench, server: Process, stream: Plan) -> None:
    prompt = await bench.register(stream.script)
    small = SMALL_BYTES if stream.stalls else None
    client = bench.client_with(bench.dialect.ask(prompt), server=server, rcvbuf_bytes=small)
    async with client:
        if stream.stalls:
            await bench.entries(prompt, "left", 1, COME_S)
        elif stream.leaves_at is not None:
            last = f"{stream.leaves_at - 1} "
            await client.read(
                lambda: last in read(bench.dialect, client.events).text, deadline_s=COME_S
            )
        else:
            await client.read(deadline_s=COME_S)


async def play_all(bench: Bench, server: Process, streams: list[Plan]) -> None:
    waiting = iter(streams)

    async def player() -> None:
        for stream in waiting:
            await play(bench, server, stream)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(player())


def said(row: Row) -> tuple[str, str | None, int | None, int | None]:
    """Return what a row says; of a stalled reader, how far the upstream came is chance."""
    counted = 0 if row.status == "client_stalled" else row.completion_tokens
    return row.status, row.source, row.prompt_tokens, counted


@pytest.mark.slow("a thousand streams")
def test_of_a_thousand_streams_each_has_one_final_and_true_row(bench: Bench) -> None:
    chance = random.Random(SEED)
    streams = [plan(number, chance) for number in range(STREAMS - AT_ONCE)]
    streams += [STALLED] * AT_ONCE
    chance.shuffle(streams)
    server = bench.shaped(ServerOptions(sndbuf_bytes=SMALL_BYTES))

    async def run() -> list[Row]:
        await play_all(bench, server, streams)
        return await wait(bench.database(server), final(STREAMS), COME_S)

    found = asyncio.run(run())

    assert [row for row in found if not row.final] == []
    assert Counter(map(said, found)) == Counter(stream.row for stream in streams)


async def run_fifty(bench: Bench, server: Process, stack: AsyncExitStack) -> None:
    prompt = await bench.register(TALKING)
    for _ in range(50):
        await stack.enter_async_context(bench.client(prompt, server=server))
    await bench.entries(prompt, "headers", 50, COME_S)


def test_a_stop_with_fifty_streams_takes_less_than_five_seconds(bench: Bench) -> None:
    server = bench.shaped(ServerOptions(stop_s=3))

    async def run() -> float:
        async with AsyncExitStack() as stack:
            await run_fifty(bench, server, stack)
            begun_s = time.monotonic()
            server.signal(signal.SIGTERM)
            await asyncio.to_thread(server.wait, COME_S)
            return time.monotonic() - begun_s

    assert asyncio.run(run()) < 5
    assert Counter(row.status for row in rows(bench.database(server))) == {"server_stopped": 50}


@pytest.mark.parametrize(
    "signals",
    [1, pytest.param(2, marks=pytest.mark.slow("a second signal to a server that stops"))],
)
def test_a_hung_database_does_not_hold_a_stop_for_ten_seconds(bench: Bench, signals: int) -> None:
    server = bench.shaped(ServerOptions(stop_s=3, env=PATIENT))

    async def run() -> float:
        async with AsyncExitStack() as stack:
            await run_fifty(bench, server, stack)
            async with busy(bench.database(server)):
                begun_s = time.monotonic()
                for _ in range(signals):
                    server.signal(signal.SIGTERM)
                await asyncio.to_thread(server.wait, COME_S)
                return time.monotonic() - begun_s

    assert asyncio.run(run()) < 10
    assert server.exit_code is not None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite+aiosqlite:////nowhere/usage.sqlite3", "unable to open database file"),
        ("postgres://user:hidden@host/name", "Can't load plugin"),
        ("postgresql+asyncpg://user:hidden@127.0.0.1:1/name", "Connect call failed"),
        ("nonsense", "Could not parse"),
    ],
)
def test_a_database_that_cannot_be_used_is_a_line_in_the_log_at_the_start(
    bench: Bench, url: str, why: str
) -> None:
    server = bench.shaped(ServerOptions(env=(("DATABASE_URL", url),)))

    (line,) = [line for line in server.log.splitlines() if "usage is not recorded" in line]
    assert why in line
    assert "hidden" not in server.log


def test_the_table_of_an_earlier_run_is_used_again(bench: Bench) -> None:
    database = bench.database(bench.server)
    asyncio.run(bench.ask(Script.answer("a")))
    again = bench.shaped(ServerOptions(env=(("DATABASE_URL", f"sqlite+aiosqlite:///{database}"),)))

    asyncio.run(bench.ask(Script.answer("b"), server=again))

    found = asyncio.run(wait(database, final(2), COME_S))
    assert [row.status for row in found] == ["completed", "completed"]


def test_a_refusal_for_want_of_a_slot_has_no_row(bench: Bench) -> None:
    server = bench.shaped(ServerOptions(env=(("MAX_STREAMS", "0"),)))

    answer = asyncio.run(bench.ask(Script.answer("a"), server=server))

    assert answer.client.status == 503
    assert rows(bench.database(server)) == []


def test_a_slot_comes_back_when_the_row_is_final(bench: Bench) -> None:
    """Else a stop would not wait for the row."""
    server = bench.shaped(ServerOptions(env=(("MAX_STREAMS", "1"),)))

    async def run() -> tuple[int | None, int | None]:
        async with busy(bench.database(server)):
            pass  # the file is there
        prompt = await bench.register(TALKING)
        async with bench.client(prompt, server=server) as client:
            await client.read(lambda: len(client.events) > 0, deadline_s=COME_S)
            async with busy(bench.database(server)):
                client.leave()
                await bench.entries(prompt, "left", 1, COME_S)
                during = await bench.ask(Script.answer("a"), server=server)
        await wait(bench.database(server), final(1), COME_S)
        after = await bench.ask(Script.answer("a"), server=server)
        return during.client.status, after.client.status

    assert asyncio.run(run()) == (503, 200)


@pytest.mark.slow("eight seconds for what must not come")
def test_without_a_limit_of_uvicorn_a_request_that_waits_for_its_headers_holds_a_stop() -> None:
    """uvicorn waits for it before it tells the lifespan: hence the option in the docstring."""
    thinking = Script((Role(), Token("a")), headers_after_s=30.0)

    async def run(bench: Bench, server: Process) -> bool:
        prompt = await bench.register(thinking)
        async with bench.client(prompt, server=server):
            await bench.entries(prompt, "received", 1, COME_S)
            server.signal(signal.SIGTERM)
            return await asyncio.to_thread(server.wait, 8.0)  # with the option: 3.2 s

    with Bench("s05_shielded_usage") as bench:
        ended = asyncio.run(run(bench, bench.shaped(ServerOptions(env=PATIENT))))

    assert not ended


# A cancellation that falls into a write.

STEMS = ("s05_shielded_usage", "s06_telemetry")  # the next stage keeps the promise
AT_ITS_LIMIT = "timeout graceful shutdown exceeded"  # uvicorn's word for: I cancel what is left
THINKING = Script((Role(), Token("a")), headers_after_s=30.0)
DRAINED_S = 2.0  # less than DRAIN_S, for which a stop waits when a slot does not come back


@dataclass(frozen=True)
class Stopped:
    """A server that was stopped while it wrote, and what it has left behind."""

    rows: list[Row]
    outcomes: list[str]
    after_lock_s: float


async def stopped(bench: Bench, server: Process, free: AsyncExitStack) -> Stopped:
    """Stop a server whose database is locked, and free that when uvicorn has cancelled all."""
    server.signal(signal.SIGTERM)
    async with asyncio.timeout(COME_S):
        while AT_ITS_LIMIT not in server.log:  # noqa: ASYNC110 - nothing tells when a file grows
            await asyncio.sleep(0.01)
    await free.aclose()
    freed_s = time.monotonic()
    await asyncio.to_thread(server.wait, COME_S)
    seconds = time.monotonic() - freed_s
    return Stopped(rows(bench.database(server)), outcomes(server), seconds)


def outcomes(server: Process) -> list[str]:
    return re.findall(r"outcome=(\w+)", server.log)


@pytest.mark.parametrize("stem", STEMS)
def test_a_stop_in_the_middle_of_the_last_write_costs_nothing(stem: str) -> None:
    """uvicorn's limit is a `task.cancel()`, and no scope of anyio shields from that."""

    async def run(bench: Bench) -> Stopped:
        server = bench.shaped(ServerOptions(stop_s=1, env=PATIENT))
        prompt = await bench.register(THINKING)
        async with AsyncExitStack() as lock, bench.client(prompt, server=server) as client:
            await bench.entries(prompt, "received", 1, COME_S)
            await lock.enter_async_context(busy(bench.database(server)))
            client.leave()
            await bench.entries(prompt, "left", 1, COME_S)
            return await stopped(bench, server, lock)

    with Bench(stem) as bench:
        found = asyncio.run(run(bench))

    assert [(row.status, row.final) for row in found.rows] == [("client_closed", True)]
    assert found.outcomes == ["client_closed"]
    assert found.after_lock_s < DRAINED_S


@pytest.mark.parametrize("stem", STEMS)
def test_a_stop_in_the_middle_of_the_first_write_leaves_a_final_row(stem: str) -> None:
    """The row is inserted all the same, and only then the cancellation comes out."""

    async def run(bench: Bench) -> Stopped:
        server = bench.shaped(ServerOptions(stop_s=1, env=(*PATIENT, ("MAX_STREAMS", "1"))))
        prompt = await bench.register(THINKING)
        async with AsyncExitStack() as lock:
            await lock.enter_async_context(busy(bench.database(server)))
            async with bench.client(prompt, server=server):
                refused = await bench.ask(THINKING, server=server)
                assert refused.client.status == 503  # so the first has its slot, and writes
                return await stopped(bench, server, lock)

    with Bench(stem) as bench:
        found = asyncio.run(run(bench))

    assert [(row.status, row.final) for row in found.rows] == [("server_stopped", True)]
    assert found.outcomes == ["server_stopped"]
    assert found.after_lock_s < DRAINED_S


CANCELLED = 200  # as many as servers/cancels.py cancels
SLOTS = 50


@asynccontextmanager
async def jittered(database: Path, chance: random.Random) -> AsyncIterator[None]:
    """Lock a database again and again, for a moment each time."""

    async def lock() -> None:
        while True:
            async with busy(database, chance.uniform(0, 0.02)):
                pass
            await asyncio.sleep(chance.uniform(0, 0.03))

    locking = asyncio.create_task(lock())
    yield
    locking.cancel()
    await asyncio.wait({locking})


def all_final(found: Sequence[Row]) -> bool:
    return all(row.final for row in found)


def answered(client: Client) -> Callable[[], bool]:
    return lambda: client.status is not None


async def slots_free(bench: Bench, server: Process) -> int:
    """Return how many of SLOTS streams begin, when so many are asked for at once."""
    prompt = await bench.register(TALKING)
    async with AsyncExitStack() as stack:
        asking = [bench.client(prompt, server=server) for _ in range(SLOTS)]
        clients = [await stack.enter_async_context(client) for client in asking]
        for client in clients:
            await client.read(answered(client), deadline_s=COME_S)
    return sum(client.status == 200 for client in clients)


@pytest.mark.slow("two hundred cancels")
@pytest.mark.parametrize("stem", STEMS)
def test_at_whatever_moment_a_stream_is_cancelled_its_row_and_its_slot_are_safe(
    stem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE", stem)
    chance = random.Random(SEED)
    streams = [plan(number, chance) for number in range(CANCELLED)]

    async def run(bench: Bench, server: Process) -> int:
        async with jittered(bench.database(server), chance):
            await play_all(bench, server, streams)
        for _ in range(3):  # between a row and its slot there is a moment
            await wait(bench.database(server), all_final, COME_S)
            if (free := await slots_free(bench, server)) == SLOTS:
                break
        server.signal(signal.SIGTERM)
        await asyncio.to_thread(server.wait, COME_S)
        return free

    with Bench(str(SERVERS / "cancels.py")) as bench:
        env = (*PATIENT, ("MAX_STREAMS", str(SLOTS)), ("WRITE_S", "30"))  # no write is given up
        server = bench.shaped(ServerOptions(stop_s=3, env=env))
        free = asyncio.run(run(bench, server))
        found = rows(bench.database(server))

    assert [line for line in server.log.splitlines() if "usage is not recorded" in line] == []
    assert free == SLOTS
    assert [row for row in found if not row.final] == []
    assert Counter(row.status for row in found) == Counter(outcomes(server))
    assert outcomes(server).count("server_stopped") > CANCELLED / 4  # else it has tried nothing


# Where the row is finished, and how.


async def verdicts(path: Path, *names: str) -> list[bool]:
    return [cell.verdict.green for cell in await probe(str(path), *names)]


def changed(tmp_path: Path, stem: str, old: str, new: str) -> Path:
    source = (STAGES / f"{stem}.py").read_text()
    assert old in source
    path = tmp_path / "s05.py"
    path.write_text(source.replace(old, new))
    return path


def test_the_owner_of_the_stream_needs_no_shield_to_account_for_a_leave(tmp_path: Path) -> None:
    """It stands outside of what a leave cancels."""
    path = changed(tmp_path, "s05_shielded_usage", "shield=True", "")

    assert asyncio.run(verdicts(path, "left-is-accounted", "cut-is-accounted")) == [True, True]


def test_without_a_task_of_its_own_a_write_does_not_outlive_the_limit_of_uvicorn(
    tmp_path: Path,
) -> None:
    path = changed(tmp_path, "s05_shielded_usage", "await shielded(write(", "await (write(")

    assert asyncio.run(verdicts(path, "shutdown-is-accounted")) == [False]


def test_the_generator_does_not_know_of_every_end_whatever_its_shield(tmp_path: Path) -> None:
    """It is closed before it is known that the reader has stalled."""
    path = changed(
        tmp_path,
        "wrong_turns/s05_plain_finally",
        "await record.finish()",
        "await shielded(record.finish())",
    )

    assert asyncio.run(verdicts(path, "left-is-accounted", "cut-is-accounted")) == [True, False]
