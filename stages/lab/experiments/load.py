"""Load: a crowd of clients on one server, on a quiet day or during an incident, scraped meanwhile.

The crowd is the same in every run: who comes when, what the provider does, and who leaves.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from stages.lab.bench.bench import ANSWER_S, Bench
from stages.lab.bench.scrape import scrape
from stages.lab.experiments.series import Look, Series
from stages.lab.processes.process import Process
from stages.lab.processes.serve import ServerOptions
from stages.lab.processes.targets import Target
from stages.lab.upstream.script import (
    Cut,
    Done,
    Finish,
    InBandError,
    Pause,
    Refusal,
    Role,
    Script,
    Step,
    Token,
)

Cause = Literal["the provider is slow", "clients stall", "the provider breaks off"]

LASTS_S = 5.0
COMING_S = 4.6  # after that nobody comes, and the last ones end
BEGINS_S = 1.4  # the start of an incident: before it, there is a quiet day to compare with
EVERY_S = 0.2  # between two scrapes; Prometheus takes a minute unless told
PER_S = 8  # visits: with answers of 0.4 s, three or four streams at a time
STALLING, STALLING_PER_S = 38, 12  # clients that read nothing, beside the others: a train
LIMIT = 16  # a slow provider fills eleven slots of them
# Clients that stall come faster than the time limit of a send frees their slots. With 64 KB in the
# kernel, 400 KB of text are enough to fill what lies between them and the provider.
OPTIONS = ServerOptions(
    env=(("MAX_STREAMS", str(LIMIT)), ("SEND_TIMEOUT_S", "2")),
    sndbuf_bytes=65_536,
)
RCVBUF_BYTES = 4096
SEED = 20_261_120  # the same crowd in every run

LONG = Script((Role(), Pause(0.1), *(Token("word " * 1600) for _ in range(50)), Finish(), Done()))
HALF: tuple[Step, ...] = (
    Role(),
    Token("a", delay_s=0.1),
    *(Token("b", delay_s=0.04) for _ in range(3)),
)
BROKEN = (
    Script((*HALF, Cut())),
    Script((*HALF, InBandError())),
    Script((*HALF, Cut("mid chunk"))),
    Script(refusal=Refusal(500)),
)
FIRST_S = (0.06, 0.08, 0.12, 0.16)  # what the provider takes to the first token
SLOW_S = (1.0, 1.1, 1.2)


@dataclass(frozen=True)
class Visit:
    """One client: when it comes, what the provider does, and what the client does."""

    at_s: float
    script: Script
    does: Literal["reads", "leaves", "stalls"] = "reads"


def pick(seed: int) -> Cause:
    """Return the cause of an incident, the same for the same seed."""
    return random.Random(seed).choice(get_args(Cause))


def crowd(cause: Cause | None = None) -> list[Visit]:
    """Return the visits in the order of time; with a cause, there is an incident from BEGINS_S."""
    chance = random.Random(SEED)
    visits = []
    for i in range(int(PER_S * COMING_S)):
        at_s = (i + chance.random()) / PER_S
        visits.append(_visit(at_s, cause if at_s > BEGINS_S else None, chance))
    if cause == "clients stall":
        times = (BEGINS_S + i / STALLING_PER_S for i in range(STALLING))
        visits += [Visit(at_s, LONG, "stalls") for at_s in times]
    return sorted(visits, key=lambda visit: visit.at_s)


def _visit(at_s: float, cause: Cause | None, chance: random.Random) -> Visit:
    # All chances are taken whatever the cause is, so that the rest of the crowd stays the same.
    kind, breaks, first = chance.random(), chance.random() < 0.75, chance.choice(FIRST_S)
    slow, broken = chance.choice(SLOW_S), chance.choice(BROKEN)
    if kind < 0.08 or (cause == "the provider breaks off" and breaks):
        return Visit(at_s, broken)
    if kind < 0.16 or cause == "the provider is slow":
        return Visit(at_s, _answer(slow), "leaves" if kind > 0.9 else "reads")
    return Visit(at_s, _answer(first), "leaves" if kind > 0.8 else "reads")


def _answer(first_s: float) -> Script:
    tokens = (Token(f"{i} ", delay_s=0.04) for i in range(8))
    return Script((Role(), Pause(first_s), *tokens, Finish(), Done()))


async def observe(target: Target | str | int, cause: Cause | None = None) -> Series:
    """Put the crowd on a server and return what was scraped, from first to last in LASTS_S.

    Raises NoMetrics for a server that has none.
    """
    with Bench(target) as bench:
        server = bench.shaped(OPTIONS)
        visits = crowd(cause)
        prompts = {script: await bench.register(script) for script in {v.script for v in visits}}
        looks = [Look(0.0, await scrape(server))]
        start_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_come(bench, server, prompts[visit.script], visit, start_s))
                for visit in visits
            ]
            for at_s in _ticks(start_s):
                await asyncio.sleep(at_s)
                samples = await scrape(server)
                looks.append(Look(time.monotonic() - start_s, samples))
            for task in tasks:  # who is still there leaves
                task.cancel()
    return Series(tuple(looks), LIMIT)


def _ticks(start_s: float) -> Iterator[float]:
    """Yield, again and again, how long it is until the next scrape is due."""
    for i in range(1, round(LASTS_S / EVERY_S) + 1):
        yield max(start_s + i * EVERY_S - time.monotonic(), 0)


async def _come(bench: Bench, server: Process, prompt: str, visit: Visit, start_s: float) -> None:
    await asyncio.sleep(max(start_s + visit.at_s - time.monotonic(), 0))
    rcvbuf_bytes = RCVBUF_BYTES if visit.does == "stalls" else None
    body = bench.dialect.ask(prompt)
    async with bench.client_with(body, server=server, rcvbuf_bytes=rcvbuf_bytes) as client:
        if visit.does == "stalls":
            await asyncio.Event().wait()  # it reads nothing until the load is over
        elif visit.does == "leaves":
            await client.read(lambda: len(client.events) > 1, deadline_s=ANSWER_S)
        else:
            await client.read(deadline_s=ANSWER_S)
