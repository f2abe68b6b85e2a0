"""s04 promises: every wait and every buffer has a bound."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from stages.lab.bench.bench import SMALL_BYTES, Bench
from stages.lab.clients.client import Client
from stages.lab.processes.census import census
from stages.lab.processes.serve import ServerOptions
from stages.lab.upstream.script import Finish, Firehose, Pause, Role, Script, Token
from tests.helpers.until import until

COME_S = 10.0
SMALL = ServerOptions(sndbuf_bytes=SMALL_BYTES, env=(("MAX_STREAMS", "1000"),))


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench("s04_backpressured") as bench:
        yield bench


def outcomes(bench: Bench, options: ServerOptions, count: int) -> list[str]:
    """Return the outcomes in the log of a server, once there are so many."""
    return until(
        lambda: re.findall(r"outcome=(\w+)", bench.shaped(options).log),
        lambda found: len(found) >= count,
        f"log with {count} outcomes",
        deadline_s=COME_S,
    )


def tokens(client: Client) -> list[dict[str, object]]:
    return [json.loads(event.data) for event in client.events if event.type == "token"]


async def stall(bench: Bench, stack: AsyncExitStack, script: Script) -> Client:
    prompt = await bench.register(script)
    client = bench.client_with(
        bench.dialect.ask(prompt), server=bench.shaped(SMALL), rcvbuf_bytes=SMALL_BYTES
    )
    return await stack.enter_async_context(client)


def test_the_first_token_is_not_held_back(bench: Bench) -> None:
    script = Script((Role(), Token("first"), Pause(0.5), Token("second"), Finish()))

    answer = asyncio.run(bench.ask(script))

    (came_s, _), *_ = answer.client.items
    assert answer.entry is not None
    sent_s = next(sent.at_s for sent in answer.entry.sent if sent.text == "first")
    assert came_s - sent_s < 0.25  # measured: 5 ms; the second token comes after 0.5 s


def test_a_fast_reader_gets_each_token_when_it_comes(bench: Bench) -> None:
    words = [f"{i} " for i in range(10)]

    answer = asyncio.run(bench.ask(Script.answer(*words, delay_s=0.05)))

    assert [token["text"] for token in tokens(answer.client)] == words


def test_what_has_piled_up_is_counted_as_one_event(bench: Bench) -> None:
    answer = asyncio.run(bench.ask(Script((Role(), Firehose(5000), Finish()))))

    told = tokens(answer.client)
    assert answer.told.text == "".join(f"{i} " for i in range(5000))
    assert [token["index"] for token in told] == list(range(len(told)))


def outcomes_of_a_stall(bench: Bench) -> list[str]:
    async def ask() -> list[str]:
        async with AsyncExitStack() as stack:
            await stall(bench, stack, Script((Role(), *(Token("x" * 4000) for _ in range(500)))))
            return await asyncio.to_thread(outcomes, bench, SMALL, 1)

    return asyncio.run(ask())


def test_a_reader_that_stalls_is_on_record_as_such(bench: Bench) -> None:
    assert outcomes_of_a_stall(bench) == ["client_stalled"]


@pytest.mark.slow("two hundred readers that stall")
def test_a_reader_may_stall_at_any_byte(bench: Bench) -> None:
    """Also before the very last one, which sse-starlette's own `send_timeout` does not bound.

    The transport takes 64 KB before it makes the server wait, so there is a length of answer for
    which only the last message has to wait: it is among these.
    """
    lengths = range(60_000, 80_000, 100)

    async def ask_all() -> list[str]:
        async with AsyncExitStack() as stack:
            for length in lengths:
                await stall(bench, stack, Script.answer("x" * length))
            return await asyncio.to_thread(outcomes, bench, SMALL, len(lengths))

    found = asyncio.run(ask_all())

    assert len(found) == len(lengths)
    assert set(found) == {"completed", "client_stalled"}


def test_a_stall_leaves_one_line_in_the_log_and_no_traceback(bench: Bench) -> None:
    outcomes_of_a_stall(bench)

    assert "Traceback" not in bench.shaped(SMALL).log


def test_a_refusal_for_want_of_a_slot_leaves_no_record(bench: Bench) -> None:
    full = ServerOptions(env=(("MAX_STREAMS", "0"),))

    async def ask() -> int | None:
        prompt = await bench.register(Script.answer("a"))
        async with bench.client(prompt, server=bench.shaped(full)) as client:
            await client.read(deadline_s=COME_S)
        return client.status

    assert asyncio.run(ask()) == 503
    assert outcomes(bench, full, 0) == []


def test_a_bad_request_is_told_so_where_no_slot_is_free(bench: Bench) -> None:
    full = ServerOptions(env=(("MAX_STREAMS", "0"),))

    async def ask() -> int | None:
        async with bench.client_with(b"{}", server=bench.shaped(full)) as client:
            await client.read(deadline_s=COME_S)
        return client.status

    assert asyncio.run(ask()) == 422


def test_the_first_tokens_of_a_burst_go_out_before_the_others_are_read(bench: Bench) -> None:
    answer = asyncio.run(bench.ask(Script((Role(), Firehose(64), Finish()))))

    first = str(tokens(answer.client)[0]["text"])
    assert first.startswith("0 ")
    assert len(first.split()) < 16  # measured: 2 of 64; a busy machine does not change the order


def test_a_reader_that_is_slower_than_the_transport_drains_is_cut_too(bench: Bench) -> None:
    """It takes 10 KB a second, and the transport lets go on when 48 KB have gone."""

    async def ask() -> list[str]:
        async with AsyncExitStack() as stack:
            client = await stall(bench, stack, Script((Role(), *[Token("x" * 4000)] * 500)))
            await client.read(deadline_s=3.0, read_bytes=1000, pause_s=0.1)
            return await asyncio.to_thread(outcomes, bench, SMALL, 1)

    assert asyncio.run(ask()) == ["client_stalled"]


def test_a_cut_gives_up_the_stream_and_not_the_connection(bench: Bench) -> None:
    async def ask() -> tuple[int, ...]:
        async with AsyncExitStack() as stack:
            await stall(bench, stack, Script((Role(), *[Token("x" * 4000)] * 500)))
            await asyncio.to_thread(outcomes, bench, SMALL, 1)
            return (await census(bench.shaped(SMALL))).unsent_bytes

    (unsent_bytes,) = asyncio.run(ask())
    assert 0 < unsent_bytes < 100_000  # the transport's 64 KB, and the chunk that was on its way
