"""Counts: the metrics say how many streams and tokens the ledger has, and how many run."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from stages.lab.bench.bench import Bench
from stages.lab.bench.leaving import COME_S, NeverCame, has_read, leave, running
from stages.lab.bench.scrape import NoMetrics, Samples, scrape
from stages.lab.bench.verdict import Complaint, Verdict, complain, judge
from stages.lab.probes.s03_disconnect_aware import TALKING
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
    Usage,
)

SETTLED_S = 2.0  # measured: 10 ms after the end of a stream; the rest is for a busy machine
TOKENS = (Role(), Token("a"), Token("b"), Token("c"))


async def settled(
    bench: Bench, before: Samples, holds: Callable[[Samples], bool]
) -> tuple[Samples, Complaint | None]:
    """Return what has come since `before`, once it holds, and the complaint when that was late.

    What does not hold in the end is the probe's to tell.
    """

    async def look() -> Samples:
        return (await scrape(bench.server)).since(before)

    since_s = time.monotonic()
    seen, held_s = await bench.witness.see(look, holds, SETTLED_S)
    if held_s is None:
        return seen, None
    told = f"it came later than {SETTLED_S:g} s after the end"
    return seen, bench.witness.late(told, SETTLED_S, since_s=since_s, came_s=held_s)


MIXED = {
    "counted by the provider": Script((*TOKENS, Finish(), Usage(11, 13), Done())),
    "not counted by the provider": Script((*TOKENS, Finish(), Done())),
    "cut": Script((*TOKENS, Cut())),
    "an error in the stream": Script((*TOKENS, InBandError())),
    "refused": Script(refusal=Refusal(500)),
}
STREAMS = {"completed": 2, "upstream_failed": 3, "client_closed": 1}
COUNTED = {("input", "provider"): 11, ("output", "provider"): 13, ("output", "counted"): 12}


async def metrics_match_ledger(bench: Bench) -> Verdict:
    """After a mixed batch of streams, do the metrics say what the upstream's ledger says?

    Rule: `gen_ai_server_streams_total` by `outcome`, and `gen_ai_client_token_usage_total` by
    `gen_ai_token_type` and `source`, have grown by just these streams and their tokens.
    Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
    """
    try:
        before = await scrape(bench.server)
        await bench.ask_all(MIXED)
        await leave(bench, Script((*TOKENS, Pause(30.0))), has_read("abc"))
        since, late = await settled(bench, before, lambda seen: not _mismatches(seen))
    except NoMetrics as exc:
        return complain(str(exc))
    except NeverCame as exc:
        return complain(exc.complaint)
    return judge(
        {"six streams": "; ".join(_mismatches(since)) or late},
        "outcomes and tokens are those of the ledger",
        {},
    )


def _mismatches(seen: Samples) -> list[str]:
    pairs = {
        f"streams {outcome}": (seen.at("gen_ai_server_streams_total", outcome=outcome), count)
        for outcome, count in STREAMS.items()
    }
    pairs["streams"] = (seen.at("gen_ai_server_streams_total"), sum(STREAMS.values()))
    for (kind, source), count in COUNTED.items():
        labels = {"gen_ai_token_type": kind, "source": source}
        pairs[f"{kind} tokens, {source}"] = (
            seen.at("gen_ai_client_token_usage_total", **labels),
            count,
        )
    return [
        f"{name}: {got:g} instead of {wanted}"
        for name, (got, wanted) in pairs.items()
        if got != wanted
    ]


LEAVES = 200
AT_ONCE = 20
SEED = 20_261_120  # the same moments in every run
RUNNING = 5
GAUGE = "gen_ai_server_streams_in_flight"


async def in_flight_returns_to_zero(bench: Bench) -> Verdict:
    """After two hundred leaves at random moments, does the server know that nobody is there?

    Rule: `gen_ai_server_streams_in_flight` is 5 while five streams run, and 0 after the leaves.
    Source: https://prometheus.io/docs/practices/instrumentation/#use-labels
    """
    try:
        await scrape(bench.server)
        async with AsyncExitStack() as stack:
            for _ in range(RUNNING):
                await stack.enter_async_context(running(bench, bench.server, TALKING))
            busy = (await scrape(bench.server)).at(GAUGE)
        await _storm(bench)
        after, late = await settled(bench, Samples(), lambda seen: seen.at(GAUGE) == 0)
    except NoMetrics as exc:
        return complain(str(exc))
    except NeverCame as exc:
        return complain(exc.complaint)
    left = after.at(GAUGE)
    return judge(
        {
            f"{RUNNING} streams": None if busy == RUNNING else "the gauge does not say so",
            f"{LEAVES} leaves": late if left == 0 else "the gauge does not come back to 0",
        },
        f"the gauge said {RUNNING} while {RUNNING} ran, and 0 after {LEAVES} leaves",
        {},
    )


async def _storm(bench: Bench) -> None:
    chance = random.Random(SEED)
    prompt = await bench.register(TALKING)

    async def visit(events: int) -> None:
        async with bench.client(prompt) as client:
            await client.read(lambda: len(client.events) >= events, deadline_s=COME_S)
            client.leave(chance.choice(["fin", "rst"]))

    for _ in range(LEAVES // AT_ONCE):
        await asyncio.gather(*(visit(chance.randrange(4)) for _ in range(AT_ONCE)))
