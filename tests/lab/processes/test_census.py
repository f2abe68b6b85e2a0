"""A census says what a server process holds: tasks, bytes that wait, memory, open files."""

import asyncio
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from stages.lab.bench.bench import Bench
from stages.lab.processes import census as module
from stages.lab.processes.census import Census, census
from stages.lab.processes.process import Process, ProcessError
from stages.lab.processes.serve import ServerOptions, serve
from stages.lab.upstream.script import Pause, Role, Script, Token
from tests.helpers.places import SERVERS
from tests.helpers.until import until

NOWHERE = "http://127.0.0.1:9"  # an upstream that is never asked
SOON_S = 10.0  # what takes milliseconds; a machine may be busy
STREAMS = 10
OPEN = Script((Role(), Token("a"), Pause(60.0)))
MUCH = Script((Role(), *(Token("x" * 4000) for _ in range(500))))  # 2 MB
SMALL = ServerOptions(sndbuf_bytes=4096)  # then what the kernel does not take is soon left over


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench("s03_disconnect_aware") as bench:
        yield bench


async def seen(process: Process, holds: Callable[[Census], bool], waited_for: str) -> Census:
    """Return the first census for which a condition holds, while the streams of the loop go on."""
    return await asyncio.to_thread(
        until, lambda: asyncio.run(census(process)), holds, waited_for, deadline_s=SOON_S
    )


async def at_rest(bench: Bench) -> Census:
    return await seen(bench.server, lambda now: now.unsent_bytes == (), "server without a client")


async def open_streams(bench: Bench, stack: AsyncExitStack) -> None:
    """Open STREAMS streams that have sent something and are not at their end."""
    prompt = await bench.register(OPEN)
    for _ in range(STREAMS):
        client = await stack.enter_async_context(bench.client(prompt))
        assert await client.read(lambda: bool(client.events), deadline_s=SOON_S)  # noqa: B023


async def before_within_and_after(bench: Bench) -> tuple[Census, Census, Census]:
    await bench.ask(Script.answer("warm up"))
    before = await at_rest(bench)
    async with AsyncExitStack() as stack:
        await open_streams(bench, stack)
        within = await census(bench.server)
    after = await seen(bench.server, lambda now: now.tasks <= before.tasks, "end of the tasks")
    return before, within, after


@pytest.fixture(scope="module")
def counted(bench: Bench) -> tuple[Census, Census, Census]:
    return asyncio.run(before_within_and_after(bench))


def test_every_stream_has_tasks_while_it_runs(counted: tuple[Census, Census, Census]) -> None:
    before, within, after = counted

    assert within.tasks >= before.tasks + STREAMS
    assert after.tasks <= before.tasks


def test_every_open_connection_is_counted(counted: tuple[Census, Census, Census]) -> None:
    before, within, after = counted

    assert before.unsent_bytes == ()
    assert within.unsent_bytes == (0,) * STREAMS
    assert after.unsent_bytes == ()


def test_every_stream_has_two_open_files(counted: tuple[Census, Census, Census]) -> None:
    before, within, _ = counted

    # One to the client and one to the upstream, where the connection of the warm-up is used again.
    assert within.open_files == before.open_files + 2 * STREAMS - 1


@pytest.mark.parametrize(("stem", "tasks"), [("report", 1), ("talks", 2)])
def test_a_server_at_rest_has_a_task_and_one_for_its_lifespan(stem: str, tasks: int) -> None:
    with serve(f"{SERVERS}/{stem}.py:app", NOWHERE) as process:
        resting = asyncio.run(census(process))

    assert resting.tasks == tasks


def test_the_memory_is_that_of_the_server(counted: tuple[Census, Census, Census]) -> None:
    before, _, _ = counted

    assert 20e6 < before.rss_bytes < 500e6  # an interpreter with FastAPI and the SDK: 60 MB


def test_what_a_client_does_not_read_waits_in_the_write_buffer(bench: Bench) -> None:
    async def stall() -> Census:
        server = bench.shaped(SMALL)
        prompt = await bench.register(MUCH)
        body = bench.dialect.ask(prompt)
        async with (
            bench.client_with(body, server=server, rcvbuf_bytes=4096),
            bench.client_with(body, server=server, rcvbuf_bytes=4096),
        ):
            return await seen(
                server, lambda now: min(now.unsent_bytes, default=0) > 65_536, "full write buffer"
            )

    unsent_bytes = asyncio.run(stall()).unsent_bytes

    assert len(unsent_bytes) == 2
    assert unsent_bytes[0] >= unsent_bytes[1] > 65_536  # where asyncio tells a writer to wait


def test_a_census_is_of_now_and_not_of_another_time(bench: Bench) -> None:
    async def ask_often() -> list[int]:
        prompt = await bench.register(OPEN)
        seen = []
        for _ in range(5):
            async with bench.client(prompt) as client:
                await client.read(lambda: bool(client.events), deadline_s=SOON_S)
                seen.append(len((await census(bench.server)).unsent_bytes))
            await at_rest(bench)
        return seen

    assert asyncio.run(ask_often()) == [1] * 5


def test_several_can_ask_at_once(bench: Bench) -> None:
    async def ask_at_once() -> list[Census]:
        return await asyncio.gather(*(census(bench.server) for _ in range(20)))

    assert len(asyncio.run(ask_at_once())) == 20


def why_not(process: Process) -> str:
    """Return what is said where there is no census."""
    with pytest.raises(ProcessError) as caught:
        asyncio.run(census(process))
    return str(caught.value)


def test_one_that_has_ended_cannot_be_counted() -> None:
    with serve(f"{SERVERS}/report.py:app", NOWHERE) as process:
        process.signal(signal.SIGKILL)
        process.wait(SOON_S)

        said = why_not(process)

    assert re.match(
        r"The server .*report\.py:app has ended by SIGKILL, so nothing in it can be counted\. "
        r"Probably it failed, or its context has been left\. Ask while it runs\. Its log ends with",
        said,
    )


def test_one_that_ends_while_it_is_asked_cannot_be_counted() -> None:
    async def end_it(process: Process) -> str:
        asked = asyncio.create_task(census(process))
        await asyncio.sleep(0)  # it has asked, and waits
        process.signal(signal.SIGKILL)
        with pytest.raises(ProcessError) as caught:
            await asked
        return str(caught.value)

    with serve(f"{SERVERS}/report.py:app", NOWHERE) as process:
        process.signal(signal.SIGSTOP)  # so that it cannot answer before
        said = asyncio.run(end_it(process))

    assert "has ended by SIGKILL, so nothing in it can be counted" in said


def test_one_whose_event_loop_is_blocked_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNT_S", 0.3)  # no answer comes, however long we wait

    with serve(f"{SERVERS}/report.py:app", NOWHERE) as process:
        process.signal(signal.SIGSTOP)
        said = why_not(process)
        process.signal(signal.SIGCONT)

    assert re.match(
        r"The server .*report\.py:app gave no census in 0\.3 s\. Probably its event loop is "
        r"blocked: something in it computes or waits without `await`\. Look there; only a server "
        r"that `serve` has started gives one at all\. ",
        said,
    )


def test_a_process_that_gives_no_census_is_not_hurt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COUNT_S", 0.3)  # no answer comes, however long we wait

    said = why_not(bench.upstream)

    assert said.startswith("The scripted upstream gave no census in 0.3 s.")
    assert bench.upstream.exit_code is None
