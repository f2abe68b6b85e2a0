"""Leaving: ask, leave at a chosen moment, and watch what the upstream sees of it."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

from stages.lab.bench.bench import Answer, Bench
from stages.lab.bench.verdict import Complaint
from stages.lab.clients.client import Client
from stages.lab.clients.dialects import read
from stages.lab.processes.process import Process
from stages.lab.processes.serve import PLAIN, ServerOptions
from stages.lab.processes.targets import Target
from stages.lab.upstream.ledger import Entry
from stages.lab.upstream.script import Script

WATCH_S = 1.0  # how long we look before we say "still open"; a leak lasts as long as the upstream
COME_S = 10.0  # for what must come before the client leaves


class NeverCame(Exception):
    """The moment to leave never came: a leave at another one would prove nothing."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(str(complaint))
        self.complaint = complaint


Moment = Callable[[Bench, str, Client], Awaitable[object]]


def has_read(text: str) -> Moment:
    """Return the moment at which the client has read this text."""

    async def moment(bench: Bench, prompt: str, client: Client) -> object:
        del prompt
        return await client.read(
            lambda: text in read(bench.dialect, client.events).text, deadline_s=COME_S
        )

    return moment


async def upstream_is_asked(bench: Bench, prompt: str, client: Client) -> object:
    """Return when the upstream has the request of this prompt."""
    del client
    return await bench.entries(prompt, "received", 1, COME_S)


async def leave(
    bench: Bench,
    script: Script,
    moment: Moment,
    how: Literal["fin", "rst"] = "fin",
    options: ServerOptions = PLAIN,
) -> Answer:
    """Ask with a script and leave at a moment; returns what was seen until WATCH_S after that.

    Raises NeverCame when the moment has not come after COME_S, or the answer has ended before.
    """
    prompt = await bench.register(script)
    async with bench.client(prompt, server=bench.shaped(options)) as client:
        if not await moment(bench, prompt, client) or client.ended is not None:
            told = f"the moment to leave had not come after {COME_S:g} s"
            raise NeverCame(bench.in_time(client, told, COME_S) or told)
        client.leave(how)
    return await watch(bench, prompt, client)


async def watch(bench: Bench, prompt: str, client: Client) -> Answer:
    """Watch the upstream after the client has left, for WATCH_S; returns what was seen."""
    left_s = client.ended_s or time.monotonic()
    entry = await until_left(bench, prompt, left_s, WATCH_S)
    return Answer(client, read(bench.dialect, client.events), entry)


async def until_left(bench: Bench, prompt: str, since_s: float, bound_s: float) -> Entry | None:
    """Return the upstream's entry once it was closed, or the bound that began then is over."""
    while True:
        left_s = bench.witness.left_s(since_s, bound_s)
        entries = await bench.entries(prompt, "left", 1, left_s)
        if (entries and entries[-1].left) or not left_s:
            return entries[-1] if entries else None


async def ask_and_leave(target: Target | str | int, script: Script) -> Answer:
    """Ask a target once and leave when the upstream has the request; returns what was seen."""
    with Bench(target) as bench:
        return await leave(bench, script, upstream_is_asked)


@asynccontextmanager
async def running(bench: Bench, server: Process, script: Script) -> AsyncIterator[Client]:
    """Have a client whose stream has begun; it leaves at the end of the context.

    Raises NeverCame when it has not begun after COME_S, or has ended.
    """
    async with bench.client(await bench.register(script), server=server) as client:
        await client.read(lambda: len(client.events) > 0, deadline_s=COME_S)
        if not client.events:
            how = f"status {client.status}" if client.ended else f"nothing came in {COME_S:g} s"
            told = f"a stream that may run did not begin: {how}"
            raise NeverCame(bench.in_time(client, told, COME_S) or told)
        yield client
