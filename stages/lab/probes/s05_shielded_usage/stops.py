"""Stops: told to end, a process finishes its rows; killed, it leaves those that it had begun."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack

from stages.lab.bench.accounts import Row, busy, rows
from stages.lab.bench.bench import SMALL_BYTES, Bench
from stages.lab.bench.leaving import COME_S
from stages.lab.bench.verdict import Complaint, Verdict, complain, judge
from stages.lab.bench.witness import LOST_S
from stages.lab.clients.client import Client
from stages.lab.clients.dialects import read
from stages.lab.probes.s03_disconnect_aware import ENDLESS, TALKING, THINKING
from stages.lab.probes.s05_shielded_usage.accounting import since, unfinished
from stages.lab.processes.process import Process
from stages.lab.processes.serve import ServerOptions
from stages.lab.upstream.script import Script

CROWD = 20
# Nothing else ends a stream or gives a row up: a hundred inserts took more than 5 s beside load.
PATIENT = (("SEND_TIMEOUT_S", "30"), ("UPSTREAM_IDLE_S", "30"), ("WRITE_S", "30"))
STOP_S = 2
STOP = ServerOptions(
    sndbuf_bytes=SMALL_BYTES, stop_s=STOP_S, env=(*PATIENT, ("MAX_STREAMS", "200"))
)
STOPPED_S = 5.0
BUSY_S = 0.5  # a hundred times what a write takes
HELD = ServerOptions(env=(("WRITE_S", "0.5"),))


async def shutdown_is_accounted(bench: Bench) -> Verdict:
    """The server is told to stop while streams run: are all of them accounted for, and told?

    Rule: after SIGTERM every client that reads gets one `error` event and a clean end, every row
    says `server_stopped`, and the process has ended in under 5 s. One client reads nothing and one
    still waits for its headers: they cannot be told. The database is busy for 0.5 s after SIGTERM,
    and again when uvicorn cancels what still runs. Then a row is being written: one client has left
    just before, and its row says `client_closed`.
    Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
    """
    server = bench.shaped(STOP)
    before = rows(bench.database(server))
    async with AsyncExitStack() as stack:
        scripts = [TALKING] * CROWD + [ENDLESS, THINKING, THINKING]
        running = [_running(bench, server, stack, script) for script in scripts]
        clients = await asyncio.gather(*running)
        if None in clients:
            return complain(not_begun(bench, len(clients)))
        *readers, _, _, leaver = filter(None, clients)
        begun_s, ended_s = await _stop(bench, server, readers, leaver)
    found = since(before, rows(bench.database(server)))
    told = f"it had not ended {STOPPED_S:g} s after SIGTERM"
    late = bench.witness.late(told, STOPPED_S, since_s=begun_s, came_s=ended_s)
    return judge(
        {
            "the clients": _untold(bench, readers, begun_s),
            "the process": late,
            "the rows": _unstopped(bench, found, begun_s),
        },
        f"{CROWD + 3} streams ran; every client that read was told, and every row is final",
        {},
    )


async def _stop(
    bench: Bench, server: Process, readers: list[Client], leaver: Client
) -> tuple[float, float | None]:
    """Stop a server while its database is busy; returns when it was told to, and had ended."""
    begun_s = time.monotonic()
    server.signal(signal.SIGTERM)
    async with asyncio.TaskGroup() as group, busy(bench.database(server), BUSY_S):
        for client in readers:
            group.create_task(client.read(deadline_s=STOPPED_S + LOST_S))
    # Those that cannot be told are cancelled by uvicorn after STOP_S: once more, for them.
    await asyncio.sleep(begun_s + STOP_S - 2 * BUSY_S - time.monotonic())
    async with busy(bench.database(server), 3 * BUSY_S):
        leaver.leave()
    return begun_s, await _ended(server, begun_s + STOPPED_S + LOST_S)


async def _running(
    bench: Bench, server: Process, stack: AsyncExitStack, script: Script
) -> Client | None:
    """Return a client whose stream runs until the stack ends, or None when it does not begin.

    It reads what is said by and by; of an endless answer, and before the headers, nothing.
    """
    prompt = await bench.register(script)
    reads = script is TALKING
    client = bench.client_with(
        bench.dialect.ask(prompt), server=server, rcvbuf_bytes=None if reads else SMALL_BYTES
    )
    await stack.enter_async_context(client)
    if not await bench.entries(prompt, "received", 1, COME_S):
        return None
    if reads and not await client.read(lambda: len(client.events) > 0, deadline_s=COME_S):
        return None
    return client


def not_begun(bench: Bench, count: int) -> Complaint:
    """Return the complaint that of so many streams not all began in COME_S."""
    told = f"not all of {count} streams began in {COME_S:g} s"
    return bench.witness.never(told, COME_S, since_s=time.monotonic() - COME_S)


async def _ended(server: Process, deadline_s: float) -> float | None:
    """Return when the server had ended, None when it has not before the deadline."""
    wait_s = max(0.0, deadline_s - time.monotonic())
    return time.monotonic() if await asyncio.to_thread(server.wait, wait_s) else None


def _untold(bench: Bench, readers: list[Client], begun_s: float) -> Complaint | None:
    for client in readers:
        kinds = read(bench.dialect, client.events).kinds
        told = f"a client was told {kinds}, and its answer ended {client.ended}"
        if kinds not in (("token",), ("token", "error")):
            return told
        if client.ended != "clean" or kinds[-1] != "error":
            # uvicorn's limit cuts who is told later.
            return bench.witness.never(told, STOP_S, since_s=begun_s)
    return None


def _unstopped(bench: Bench, found: list[Row], begun_s: float) -> Complaint | None:
    if unfinished(found, server_stopped=CROWD + 3) is None:
        told = "a client left while the server stopped, and its row does not say so"
        return bench.witness.never(told, STOP_S - BUSY_S, since_s=begun_s)
    return unfinished(found, server_stopped=CROWD + 2, client_closed=1)


async def kill_is_visible(bench: Bench) -> Verdict:
    """The process is killed while a stream runs: can it be seen afterwards that there was one?

    Rule: after SIGKILL there is a row with status `streaming`. What has no row is not missed.
    Source: https://man7.org/linux/man-pages/man7/signal.7.html
    """
    server = bench.shaped(HELD)
    before = rows(bench.database(server))
    async with AsyncExitStack() as stack:
        await _running(bench, server, stack, TALKING)
        server.signal(signal.SIGKILL)
        await _ended(server, time.monotonic() + COME_S)
    said = [row.status for row in since(before, rows(bench.database(server)))]
    outcome = None if said == ["streaming"] else f"the rows say {said} instead of ['streaming']"
    return judge({"a stream that was killed": outcome}, "its row still says 'streaming'", {})
