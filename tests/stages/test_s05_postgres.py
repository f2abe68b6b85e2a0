"""s05 on PostgreSQL: the same promise, on a database with more than one writer."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from stages.lab.bench.bench import Bench
from stages.lab.doctor.model import DEFAULT_MODEL
from stages.lab.processes.serve import ServerOptions
from stages.lab.upstream.script import Cut, Done, Finish, Pause, Role, Script, Token, Usage
from tests.helpers.postgres import postgres
from tests.helpers.until import until

COME_S = 20.0
STORM = 100
ANSWER = Script((Role(), Token("a"), Finish(), Usage(11, 13), Done()))
SILENT = Script((Role(), Token("a"), Pause(60.0)))

pytestmark = pytest.mark.slow("a second database")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
def options(url: str) -> ServerOptions:
    """The options of a server on that database, with an empty table."""
    asyncio.run(ask(url, "DROP TABLE IF EXISTS usage"))
    patient = (("UPSTREAM_IDLE_S", "60"), ("MAX_STREAMS", str(2 * STORM)))
    return ServerOptions(env=(("DATABASE_URL", url), *patient), stop_s=3)


async def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, on a connection of its own."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        result = await connection.execute(text(query))
        return [tuple(row) for row in result] if result.returns_rows else []


async def statuses(url: str, count: int) -> list[str]:
    """Return the statuses of all rows once so many are final, while the loop goes on."""
    query = "SELECT status, ended_at IS NOT NULL FROM usage"
    rows = await asyncio.to_thread(
        until,
        lambda: asyncio.run(ask(url, query)),
        lambda rows: sum(final for _, final in rows) >= count,
        f"table with {count} final rows",
        deadline_s=COME_S,
    )
    return [status if final else f"{status}, not final" for status, final in rows]


async def storm(bench: Bench, options: ServerOptions) -> None:
    """Let a hundred clients leave at the same moment."""
    server = bench.shaped(options)
    prompt = await bench.register(SILENT)
    async with AsyncExitStack() as stack:
        for _ in range(STORM):
            await stack.enter_async_context(bench.client(prompt, server=server))
        await bench.entries(prompt, "headers", STORM, COME_S)


def test_an_answer_has_one_final_row_with_the_usage(url: str, options: ServerOptions) -> None:
    async def run() -> list[tuple[Any, ...]]:
        with Bench("s05_shielded_usage") as bench:
            await bench.ask(ANSWER, server=bench.shaped(options))
            await statuses(url, 1)
        return await ask(
            url, "SELECT status, source, prompt_tokens, completion_tokens, model FROM usage"
        )

    assert asyncio.run(run()) == [("completed", "provider", 11, 13, DEFAULT_MODEL)]


def test_a_row_is_visible_while_the_stream_runs(url: str, options: ServerOptions) -> None:
    async def run() -> list[tuple[Any, ...]]:
        with Bench("s05_shielded_usage") as bench:
            prompt = await bench.register(SILENT)
            async with bench.client(prompt, server=bench.shaped(options)):
                await bench.entries(prompt, "headers", 1, COME_S)
                return await ask(url, "SELECT status, ended_at FROM usage")

    assert asyncio.run(run()) == [("streaming", None)]


def test_after_a_storm_nothing_is_idle_in_transaction(url: str, options: ServerOptions) -> None:
    async def run() -> list[tuple[Any, ...]]:
        with Bench("s05_shielded_usage") as bench:
            await storm(bench, options)
            await statuses(url, STORM)
            return await ask(
                url,
                "SELECT state, count(*) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1",
            )

    ((state, connections),) = asyncio.run(run())
    assert state == "idle"
    assert 1 <= connections <= 5  # the pool


def test_after_a_storm_every_row_is_final(url: str, options: ServerOptions) -> None:
    async def run() -> list[str]:
        with Bench("s05_shielded_usage") as bench:
            await storm(bench, options)
            return await statuses(url, STORM)

    assert asyncio.run(run()) == ["client_closed"] * STORM


def test_after_a_storm_the_pool_still_serves(url: str, options: ServerOptions) -> None:
    async def run() -> list[str]:
        with Bench("s05_shielded_usage") as bench:
            await storm(bench, options)
            await statuses(url, STORM)
            cut = Script((Role(), Token("a"), Cut()))
            for _ in range(10):
                await bench.ask(cut, server=bench.shaped(options))
            return await statuses(url, STORM + 10)

    assert asyncio.run(run()).count("upstream_failed") == 10


def test_a_stop_leaves_every_row_final(url: str, options: ServerOptions) -> None:
    async def run() -> list[str]:
        with Bench("s05_shielded_usage") as bench:
            server = bench.shaped(options)
            prompt = await bench.register(SILENT)
            async with AsyncExitStack() as stack:
                for _ in range(50):
                    await stack.enter_async_context(bench.client(prompt, server=server))
                await bench.entries(prompt, "headers", 50, COME_S)
                server.signal(signal.SIGTERM)
                await asyncio.to_thread(server.wait, COME_S)
            return await statuses(url, 50)

    assert asyncio.run(run()) == ["server_stopped"] * 50
