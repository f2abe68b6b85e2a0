"""The exercise `gauge_owner`: streams that end in all ways, and a gauge that says how many run."""

import asyncio
import random
from typing import Any

import anyio

from stages.lab.checks.s06_telemetry.gauges import (
    BESIDE,
    CASES,
    ENTER,
    LIMIT,
    REFUSED,
    STORM,
    STORMY,
    STREAM_ENDS,
    Case,
)
from stages.lab.checks.s06_telemetry.streams import Owner, Stream
from stages.lab.exercises.exercise import Short

SEED = 6  # the same storm in every run

OWNER = """The shape of `admitted`:

    self.slots.acquire_nowait()  # the refusal, before anything is counted
    self.gauge.inc()
    try:
        yield
    finally:
        ...  # what gives both back"""


async def judge_streams(streams: Any) -> str:
    """Have streams admitted, refused and ended in all ways, and read the gauge each time."""
    for case in CASES:
        await run(streams, case)
    await apart(streams)
    await storm(streams)
    return f"All {len(CASES) + 1} cases hold, and the gauge is 0 after {STORM} more streams."


async def run(made: Any, case: Case) -> None:
    """Have streams admitted and ended as the case says; raises NotYet."""
    owner = Owner(made, case)
    if case.rule == ENTER:
        stream = Stream(owner, case.ends)
        await stream.ended()
    else:
        streams = await owner.admit(case.count)
        for _ in range(2 if case.rule == REFUSED else 0):  # what is given back admits the second
            await owner.refuse()
        for stream in streams:
            await stream.end(case.ends)
            owner.see(f"one {case.ends}")
    await owner.afterwards()


async def apart(made: Any) -> None:
    """Have streams admitted beside a `Streams` that is full; raises NotYet."""
    full, other = Owner(made, BESIDE), Owner(made, BESIDE)
    streams = await full.admit(LIMIT)
    try:
        streams += await other.admit(LIMIT)
    except anyio.WouldBlock:
        got = f"a stream is refused where {other.running} run"
        raise other.not_yet(got) from None
    for stream in streams:
        await stream.end("comes to its end")


async def storm(made: Any) -> None:
    """Begin and end streams in all ways at random moments; raises NotYet."""
    owner, chance = Owner(made, STORMY), random.Random(SEED)
    streams: list[Stream] = []
    for _ in range(STORM):
        streams.append(Stream(owner, chance.choice((None, None, None, *STREAM_ENDS[2:]))))
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        chance.choice(streams[-2 * LIMIT :]).hit(chance.choice(STREAM_ENDS))
        if not 0 <= owner.value <= LIMIT:
            raise owner.not_yet(f"the gauge says {owner.value:g}, with {LIMIT} slots")
    for stream in streams:
        stream.hit("comes to its end")
        await stream.ended()
    await owner.afterwards()


gauge_owner = Short(
    stem="s06_telemetry",
    name="gauge_owner",
    stub="Streams",
    minutes=20,
    difficulty="medium",
    judge=judge_streams,
    hints=(
        "The slot has an owner already: what takes it and what gives it back stand in one "
        "function. Where in there do `inc` and `dec` stand, so that neither can happen without "
        "the other, whatever the stream raises?",
        "`anyio.Semaphore(limit)` has `acquire_nowait`, which raises `anyio.WouldBlock`, and "
        "`release`. In an `asynccontextmanager` the body of the `async with` runs at the `yield`: "
        "what it raises comes out there, also a cancellation. Await nothing before or behind it.",
        OWNER,
    ),
    or_else=(
        "A counter of your own in place of the semaphore is right, too, and so is a class with "
        "`__aenter__` and `__aexit__`. `gauge.track_inprogress()` does the inc, the try and the "
        "dec as one `with`, behind the refusal."
    ),
)
