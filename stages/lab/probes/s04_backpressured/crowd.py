"""A crowd: who comes when the house is full is refused at once."""

from contextlib import AsyncExitStack

from stages.lab.bench.bench import Bench
from stages.lab.bench.leaving import COME_S, NeverCame, running
from stages.lab.bench.refusals import WAITED_S, not_status, refused, status_timeline
from stages.lab.bench.verdict import Complaint, Verdict, complain, judge
from stages.lab.clients.client import Client
from stages.lab.probes.s03_disconnect_aware import TALKING
from stages.lab.processes.serve import ServerOptions
from stages.lab.upstream.script import Script

CROWD = 2
REFUSED_S = 0.1  # measured: 3 ms
HOUSE = ServerOptions(env=(("MAX_STREAMS", str(CROWD)),))


async def crowd_is_refused(bench: Bench) -> Verdict:
    """When as many streams run as may run, is the next one refused, and at once?

    Rule: with MAX_STREAMS streams running, the next request gets 503 with `Retry-After` and a JSON
    body in under 0.1 s (three of five), the upstream is not asked, and those that run go on.
    Source: https://www.rfc-editor.org/rfc/rfc9110#status.503
    """
    server = bench.shaped(HOUSE)
    async with AsyncExitStack() as crowd:
        try:
            streams = [running(bench, server, TALKING) for _ in range(CROWD)]
            inside = [await crowd.enter_async_context(stream) for stream in streams]
        except NeverCame as exc:
            return complain(exc.complaint)
        prompt = await bench.register(Script.answer("a"))
        outside = [await refused(bench.client(prompt, server=server))]
        if outside[0].status == 503:
            outside += [await refused(bench.client(prompt, server=server)) for _ in range(4)]
        asked = await bench.entries(prompt)
        going_on = [await _goes_on(client) for client in inside]
    return judge(
        {
            f"request {CROWD + 1}": _admitted(bench, outside),
            "the upstream": "it was asked for a request that was refused" if asked else None,
            "those that run": None if all(going_on) else "a stream did not go on",
        },
        f"with {CROWD} streams running, the next was refused at once, and they went on",
        {f"request {CROWD + 1}": status_timeline(outside[0])},
    )


async def _goes_on(client: Client) -> bool:
    """Return whether another event comes."""
    count = len(client.events)
    await client.read(lambda: len(client.events) > count, deadline_s=COME_S)
    return len(client.events) > count


def _admitted(bench: Bench, outside: list[Client]) -> Complaint | None:
    if outside[0].status is None:
        told = "it got no answer at all: probably it waits for a slot"
        return bench.in_time(outside[0], told, WAITED_S)
    for client in outside:
        if (complaint := not_status(client, 503)) is not None:
            return complaint
        if not client.headers.get("retry-after", "").isdecimal():
            return "the refusal has no `Retry-After` in seconds"
    told = f"the refusal took longer than {REFUSED_S:g} s"
    late = [
        bench.witness.late(told, REFUSED_S, since_s=client.sent_s, came_s=client.headers_s)
        for client in outside
    ]
    slow = [one for one in late if one is not None]
    surest = min(slow, key=lambda one: one.taken_s, default=None)
    return surest if len(slow) > len(late) / 2 else None
