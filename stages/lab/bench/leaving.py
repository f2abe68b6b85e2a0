"""Leaving and stalling: a client that goes, or stays and reads nothing, as the upstream sees it.

When the upstream is held up is what the ledger says: the kernel took its last byte then. On a busy
machine that is later than when the client stopped, by what the server and the upstream had to wait
for themselves until the buffers between them were full.
"""

import asyncio
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
COME_S = 10.0  # for what must come before the client leaves, or the upstream is held up
STALL_S = 0.3  # a firehose that sends nothing for so long is held up, not slow


class NeverCame(Exception):
    """The moment to leave never came: a leave at another one would prove nothing."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(str(complaint))
        self.complaint = complaint


# Waits for the moment to leave; returns something false when that has not come.
Cue = Callable[[Bench, str, Client], Awaitable[object]]


def has_read(text: str) -> Cue:
    """Return the cue to leave when the client has read this text."""

    async def cue(bench: Bench, prompt: str, client: Client) -> object:
        del prompt
        return await client.read(
            lambda: text in read(bench.dialect, client.events).text, deadline_s=COME_S
        )

    return cue


async def upstream_is_asked(bench: Bench, prompt: str, client: Client) -> object:
    """Return when the upstream has the request of this prompt."""
    del client
    return await bench.entries(prompt, "received", 1, COME_S)


async def leave(
    bench: Bench,
    script: Script,
    cue: Cue,
    how: Literal["fin", "rst"] = "fin",
    options: ServerOptions = PLAIN,
) -> Answer:
    """Ask with a script and leave at the cue; returns what was seen until WATCH_S after that.

    Raises NeverCame when the moment has not come after COME_S, or the answer has ended before.
    """
    prompt = await bench.register(script)
    async with bench.client(prompt, server=bench.shaped(options)) as client:
        if not await cue(bench, prompt, client) or client.ended is not None:
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


async def stalled(bench: Bench, prompt: str) -> Entry | None:
    """Wait until the upstream has sent nothing for STALL_S after its first token, or has ended.

    Returns its entry, or None when it still sends after COME_S.
    """
    begun_s = time.monotonic()
    while bench.witness.left_s(begun_s, COME_S):
        entries = await bench.entries(prompt)
        rest_s = STALL_S
        if entries and entries[-1].tokens and (last_s := entries[-1].last_s) is not None:
            rest_s = bench.witness.left_s(last_s, STALL_S)
            if not rest_s:
                return entries[-1]
        await asyncio.sleep(rest_s)  # the interval over which "nothing" is measured
    return None


async def until_closed(bench: Bench, prompt: str, bound_s: float) -> Entry | None:
    """Return the upstream's entry once it was closed, has ended, or is open too long.

    That is `bound_s` after the kernel took its last byte: until then nothing holds it up. An
    upstream that still sends after COME_S is returned as it is.
    """
    since_s = begun_s = time.monotonic()
    entry = None
    while rest_s := bench.witness.left_s(since_s, bound_s):
        entries = await bench.entries(prompt, "left", 1, rest_s)
        entry = entries[-1] if entries else None
        if entry is not None and (entry.left or entry.ended):
            break
        if not bench.witness.left_s(begun_s, COME_S):
            break
        since_s = max(since_s, (entry and entry.last_s) or since_s)
    return entry
