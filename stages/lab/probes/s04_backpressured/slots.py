"""Slots: each comes back, in whatever way its stream ends."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial

from stages.lab.bench.bench import SMALL_BYTES, Bench
from stages.lab.bench.leaving import COME_S, NeverCame, running, until_closed
from stages.lab.bench.refusals import refused
from stages.lab.bench.verdict import Complaint, Verdict, complain, judge
from stages.lab.probes.s03_disconnect_aware import AT_ONCE_S, ENDLESS, TALKING
from stages.lab.probes.s04_backpressured.crowd import CROWD, HOUSE
from stages.lab.probes.s04_backpressured.readers import GRACE_S, SEND_TIMEOUT_S, slow_client
from stages.lab.probes.s04_backpressured.silences import SILENCES
from stages.lab.processes.process import Process
from stages.lab.upstream.script import Cut, InBandError, Refusal, Role, Script, Token

SMALL_HOUSE = replace(HOUSE, sndbuf_bytes=SMALL_BYTES)
SCRIPTS = {
    "complete": Script.answer("a"),
    "cut by the upstream": Script((Role(), Token("a"), Cut())),
    "failed by the upstream": Script((Role(), Token("a"), InBandError())),
    "left silent by the upstream": SILENCES["after the first token"],
    "refused by the upstream": Script(refusal=Refusal(500)),
}

# It ends a stream, and says when it had ended.
WayToEnd = Callable[[Bench, Process], AbstractAsyncContextManager[float]]


async def slot_is_returned(bench: Bench) -> Verdict:
    """A stream ends, in whatever way: does its slot come back?

    Rule: where one more stream may run, no request is refused that comes later than 0.25 s after
    the end of the one before. One that is bad, or refused since the house is full, costs no slot.
    Source: https://docs.python.org/3/library/asyncio-sync.html#asyncio.Semaphore (a slot that is
    taken and not given back is lost until the next restart).
    """
    server = bench.shaped(SMALL_HOUSE)
    outcomes = dict[str, Complaint | None]()
    try:
        async with running(bench, server, TALKING):  # it has the other slot
            if not await _is_full_with_one_more(bench, server):
                return complain(f"stream {CROWD + 1} was not refused where {CROWD} may run")
            for name, end in WAYS_TO_END.items():
                outcomes[name] = await _slot_after(bench, server, end)
                if outcomes[name] is not None:
                    break  # without the slot, all that follow would fail, for no fault of theirs
    except NeverCame as exc:
        return complain(exc.complaint)
    return judge(outcomes, f"after {len(outcomes)} ways to end, the slot had come back", {})


async def _is_full_with_one_more(bench: Bench, server: Process) -> bool:
    async with running(bench, server, TALKING):
        client = await refused(bench.client(await bench.register(TALKING), server=server))
    return client.status == 503


async def _slot_after(bench: Bench, server: Process, end: WayToEnd) -> Complaint | None:
    """Have a stream end in this way; returns the complaint about its slot."""
    deadline_s = time.monotonic() + COME_S
    while True:
        try:
            async with end(bench, server) as ended_s:
                return await _not_free(bench, server, ended_s)
        except NeverCame:
            # The stream that showed the slot to be free may itself have it for a moment more.
            if time.monotonic() > deadline_s:
                raise


async def _not_free(bench: Bench, server: Process, ended_s: float) -> Complaint | None:
    """Ask until a stream is admitted, or one that came too late is refused; returns that."""
    told = f"{AT_ONCE_S:g} s after its end, the next was refused"
    while True:
        client = (await bench.ask(Script.answer("b"), server=server)).client
        if client.status == 200:
            return None
        # It had no slot when it came, however long its refusal was on the way.
        asked_s = client.sent_s
        late = bench.witness.late(told, AT_ONCE_S, since_s=ended_s, came_s=asked_s)
        if late is not None:
            return late


@asynccontextmanager
async def _played(bench: Bench, server: Process, script: Script) -> AsyncIterator[float]:
    client = (await bench.ask(script, server=server)).client
    if client.status == 503:
        raise NeverCame("a stream that may run was refused with status 503")
    yield client.ended_s or time.monotonic()


@asynccontextmanager
async def _left(bench: Bench, server: Process) -> AsyncIterator[float]:
    async with running(bench, server, TALKING):
        pass
    yield time.monotonic()


@asynccontextmanager
async def _stalled(bench: Bench, server: Process) -> AsyncIterator[float]:
    prompt = await bench.register(ENDLESS)
    async with slow_client(bench, prompt, SMALL_HOUSE):  # its leave would be another ending
        if not await bench.entries(prompt, "received", 1, GRACE_S):
            raise NeverCame("a stream that may run did not reach the upstream")
        await until_closed(bench, prompt, SEND_TIMEOUT_S + GRACE_S)
        yield time.monotonic()


@asynccontextmanager
async def _turned_away(bench: Bench, server: Process) -> AsyncIterator[float]:
    await _is_full_with_one_more(bench, server)
    yield time.monotonic()


@asynccontextmanager
async def _bad(bench: Bench, server: Process) -> AsyncIterator[float]:
    await refused(bench.client_with(b"{}", server=server))
    yield time.monotonic()


WAYS_TO_END: dict[str, WayToEnd] = {
    **{f"a stream that was {name}": partial(_played, script=SCRIPTS[name]) for name in SCRIPTS},
    "a client that left": _left,
    "a reader that stalled": _stalled,
    "a request that was turned away": _turned_away,
    "a bad request": _bad,
}
