"""The probes that s05 introduces: every stream is accounted for exactly once, however it ends."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from stages.lab.bench.accounts import Enough, Row, busy, exists, final, is_free, rows
from stages.lab.bench.bench import SHRUNK, SMALL_BYTES, Answer, Bench
from stages.lab.bench.leaving import (
    COME_S,
    NeverCame,
    has_read,
    leave,
    until_closed,
    upstream_is_asked,
)
from stages.lab.bench.verdict import Complaint, Verdict, complain, judge
from stages.lab.bench.witness import LOST_S
from stages.lab.clients.client import Client
from stages.lab.clients.dialects import read
from stages.lab.probes.s03_disconnect_aware import ENDLESS, SILENT, TALKING, THINKING
from stages.lab.probes.s04_backpressured.readers import SMALL, slow_client
from stages.lab.processes import tracebacks
from stages.lab.processes.process import Process, ProcessError
from stages.lab.processes.serve import ServerOptions
from stages.lab.upstream.script import Cut, Done, Finish, Pause, Refusal, Role, Script, Token, Usage

FINAL_S = 1.0  # measured: 5 ms after the end of the stream; the rest is for a busy machine

Check = Callable[[Row], Complaint | None]


def says(status: str, source: str, tokens: int, prompt_tokens: int | None = None) -> Check:
    """Return a check of one final row."""

    def check(row: Row) -> Complaint | None:
        meant: dict[str, object] = {"status": status, "source": source}
        meant |= {"completion_tokens": tokens, "prompt_tokens": prompt_tokens}
        wrong = [
            f"{name} is {getattr(row, name)!r} instead of {value!r}"
            for name, value in meant.items()
            if getattr(row, name) != value
        ]
        return ", ".join(wrong) or None

    return check


async def one_row(
    bench: Bench, server: Process, before: list[Row], check: Check
) -> Complaint | None:
    """Return what is wrong with the row of a stream that has ended, once it is final."""
    database, since_s = bench.database(server), time.monotonic()
    if not exists(database):
        return NO_ROW  # nor will there be one: the table is made when the server starts
    found, final_s = await _until(bench, server, lambda all_: final(1)(_since(before, all_)))
    wrong = complain_of(_since(before, found), check)
    told = f"the row was final, but later than {FINAL_S:g} s after the end"
    return wrong or bench.witness.late(told, FINAL_S, since_s=since_s, came_s=final_s)


async def _until(
    bench: Bench, server: Process, enough: Enough, bound_s: float = FINAL_S
) -> tuple[list[Row], float | None]:
    """Look at a server's rows until they are enough; returns the last look, and when that was."""

    async def look() -> list[Row]:
        return rows(bench.database(server))

    return await bench.witness.see(look, enough, bound_s)


def _since(before: Sequence[Row], after: Sequence[Row]) -> list[Row]:
    known = {row.id for row in before}
    return [row for row in after if row.id not in known]


NO_ROW = "there is no row"


def complain_of(found: list[Row], check: Check) -> Complaint | None:
    """Return what is wrong with the rows of one stream."""
    if len(found) != 1:
        return f"the stream has {len(found)} rows instead of one" if found else NO_ROW
    if not found[0].final:
        still = f"the row still says {found[0].status!r} {FINAL_S + LOST_S:g} s after the end"
        return still if found[0].status == "streaming" else f"{still}, and its ended_at is NULL"
    return check(found[0])


BURST = Script((Role(), *(Token("a ") for _ in range(500)), Finish(), Done()))


async def completed_is_accounted(bench: Bench) -> Verdict:
    """An answer comes to its end: is there one final row, with the provider's usage?

    Rule: status `completed` and the provider's two counts (`provider`). Where it sends none, the
    tokens are those that came, whatever the number of events, and the row says so (`counted`).
    Source: https://platform.openai.com/docs/api-reference/chat-streaming/streaming#usage
    """
    tokens = (Role(), Token("a"), Token("b"), Token("c"), Finish())
    return await _accounted(
        bench,
        {
            "with usage": (
                Script((*tokens, Usage(11, 13), Done())),
                says("completed", "provider", 13, 11),
            ),
            "without usage": (Script((*tokens, Done())), says("completed", "counted", 3)),
            # So many at once come in fewer events, where a server joins them.
            "a burst without usage": (BURST, says("completed", "counted", 500)),
        },
        "each complete answer has one final row, with the provider's usage where it was sent",
    )


BROKEN = (Role(), Token("a"), Token("b"), Cut())
REFUSED = Script(refusal=Refusal(500))


async def failed_is_accounted(bench: Bench) -> Verdict:
    """The upstream refuses, breaks off or falls silent: is there one final row?

    Rule: status `upstream_failed`, and the tokens that came until then: they are on the bill.
    Source: https://platform.openai.com/docs/api-reference/chat-streaming
    """
    silent = Script((Role(), Token("a"), Pause(30.0)))
    return await _accounted(
        bench,
        {
            "it refuses": (REFUSED, says("upstream_failed", "counted", 0)),
            "it breaks off": (Script(BROKEN), says("upstream_failed", "counted", 2)),
            "it falls silent": (silent, says("upstream_failed", "counted", 1)),
        },
        "each failure of the upstream has one final row, with what came until then",
    )


async def _accounted(
    bench: Bench, cases: Mapping[str, tuple[Script, Check]], what_holds: str
) -> Verdict:
    outcomes, timelines = dict[str, Complaint | None](), {}
    database, deadline_s = bench.database(bench.server), 2 * float(SHRUNK["UPSTREAM_IDLE_S"])
    for name, (script, check) in cases.items():
        before = rows(database)
        answer = await bench.ask(script, deadline_s=deadline_s)
        wrong = await one_row(bench, bench.server, before, check)
        outcomes[name] = bench.in_time(answer.client, wrong, deadline_s / 2)
        timelines[name] = answer.timeline
        if outcomes[name] == NO_ROW:
            break  # nor will there be one in the other cases
    return judge(outcomes, what_holds, timelines)


SAID = Script((Role(), Token("a"), Token("b"), Token("c"), Pause(30.0)))


async def left_is_accounted(bench: Bench) -> Verdict:
    """The client leaves: is there one final row?

    Rule: status `client_closed`, and the tokens that came until then. The write begins when the
    task that it runs in has been cancelled.
    Source: https://anyio.readthedocs.io/en/stable/cancellation.html#shielding
    """
    cases = {
        "in a silence": (SAID, has_read("abc"), says("client_closed", "counted", 3)),
        "before the headers": (THINKING, upstream_is_asked, says("client_closed", "counted", 0)),
    }
    outcomes, timelines = dict[str, Complaint | None](), {}
    database = bench.database(bench.server)
    for name, (script, cue, check) in cases.items():
        before = rows(database)
        try:
            timelines[name] = (await leave(bench, script, cue)).timeline
        except NeverCame as exc:
            return judge({name: exc.complaint}, "it could leave")
        outcomes[name] = await one_row(bench, bench.server, before, check)
        if outcomes[name] == NO_ROW:
            break  # nor will there be one in the other cases
    return judge(outcomes, "each client that left has one final row", timelines)


async def cut_is_accounted(bench: Bench) -> Verdict:
    """A reader stalls and is cut: is there one final row?

    Rule: status `client_stalled`, while the client is still connected.
    Source: https://anyio.readthedocs.io/en/stable/cancellation.html#shielding
    """
    server = bench.shaped(SMALL)
    before = rows(bench.database(server))
    prompt = await bench.register(ENDLESS)
    async with slow_client(bench, prompt, SMALL):
        await until_closed(bench, prompt, float(SHRUNK["SEND_TIMEOUT_S"]) + FINAL_S)
        stalled = partial(_status, status="client_stalled")
        outcome = await one_row(bench, server, before, stalled)
    return judge({"a reader that stalls": outcome}, "it has one final row", {})


def _status(row: Row, status: str) -> Complaint | None:
    return None if row.status == status else f"the row says {row.status!r} instead of {status!r}"


CROWD = 20
# Nothing else ends a stream or gives a row up: a hundred inserts took more than 5 s beside load.
PATIENT = (("SEND_TIMEOUT_S", "30"), ("UPSTREAM_IDLE_S", "30"), ("WRITE_S", "30"))
STOP_S = 2
STOP = ServerOptions(
    sndbuf_bytes=SMALL_BYTES, stop_s=STOP_S, env=(*PATIENT, ("MAX_STREAMS", "200"))
)
STOPPED_S = 5.0
BUSY_S = 0.5  # a hundred times what a write takes


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
            return complain(_not_begun(bench, len(clients)))
        *readers, _, _, leaver = filter(None, clients)
        begun_s = time.monotonic()
        server.signal(signal.SIGTERM)
        async with asyncio.TaskGroup() as group, busy(bench.database(server), BUSY_S):
            for client in readers:
                group.create_task(client.read(deadline_s=STOPPED_S + LOST_S))
        # Those that cannot be told are cancelled by uvicorn after STOP_S: once more, for them.
        await asyncio.sleep(begun_s + STOP_S - 2 * BUSY_S - time.monotonic())
        async with busy(bench.database(server), 3 * BUSY_S):
            leaver.leave()
        ended_s = await _ended(server, begun_s + STOPPED_S + LOST_S)
    found = _since(before, rows(bench.database(server)))
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


def _not_begun(bench: Bench, count: int) -> Complaint:
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
    if _unfinished(found, server_stopped=CROWD + 3) is None:
        told = "a client left while the server stopped, and its row does not say so"
        return bench.witness.never(told, STOP_S - BUSY_S, since_s=begun_s)
    return _unfinished(found, server_stopped=CROWD + 2, client_closed=1)


def _unfinished(found: list[Row], **wanted: int) -> Complaint | None:
    if len(found) != (count := sum(wanted.values())):
        return f"there are {len(found)} rows of {count} streams"
    statuses = Counter(row.status if row.final else f"{row.status}, not final" for row in found)
    return None if statuses == wanted else f"the rows say {dict(statuses)}"


HELD = ServerOptions(env=(("WRITE_S", "0.5"),))


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
    said = [row.status for row in _since(before, rows(bench.database(server)))]
    outcome = None if said == ["streaming"] else f"the rows say {said} instead of ['streaming']"
    return judge({"a stream that was killed": outcome}, "its row still says 'streaming'", {})


STORM = 100


async def storm_leaves_no_transaction(bench: Bench) -> Verdict:
    """A hundred clients leave at the same moment: does the database come out of it whole?

    Rule: every row becomes final, no transaction stays open, so that another process can write, and
    the next stream gets its row.
    Source: https://docs.sqlalchemy.org/en/21/core/pooling.html
    """
    server = bench.shaped(STOP)
    database = bench.database(server)
    async with AsyncExitStack() as stack:
        prompt = await bench.register(SILENT)
        for _ in range(STORM):
            await stack.enter_async_context(bench.client(prompt, server=server))
        came = await bench.entries(prompt, "headers", STORM, COME_S)
        if len([entry for entry in came if entry.reached("headers")]) < STORM:
            return complain(_not_begun(bench, STORM))
        if not rows(database):
            return complain(f"{STORM} clients: {NO_ROW}")
    left_s = time.monotonic()
    stormed, final_s = await _until(bench, server, final(STORM), COME_S)
    told = f"they were final, but later than {COME_S:g} s after the storm"
    late = bench.witness.late(told, COME_S, since_s=left_s, came_s=final_s)
    next_one = await bench.ask(Script.answer("a"), server=server)
    check = says("completed", "provider", 1, 7)
    return judge(
        {
            "the rows": _unfinished(stormed, client_closed=STORM) or late,
            "another process": None if is_free(database, FINAL_S) else "it cannot write",
            "the next stream": await one_row(bench, server, stormed, check),
        },
        f"{STORM} rows are final, another process can write, and the next stream got its row",
        {"the next stream": next_one.timeline},
    )


async def database_down_costs_no_stream(bench: Bench) -> Verdict:
    """The database cannot be opened, or does not answer: do the streams come all the same?

    Rule: the client gets its whole answer. What it costs is the row, and WRITE_S of waiting.
    Source: https://sre.google/sre-book/addressing-cascading-failures/
    """
    nowhere = ServerOptions(env=(("DATABASE_URL", "sqlite+aiosqlite:////nowhere/usage.sqlite3"),))
    try:
        gone = await bench.ask(Script.answer("a", "b"), server=bench.shaped(nowhere))
    except ProcessError as exc:
        raised, line = tracebacks.last_in(str(exc), Path(bench.target.name))
        finding = f"it cannot be opened: the server does not start: {raised or 'it says nothing'}"
        return Verdict("red", finding, (f"✗ {line}",) if line else ())
    server = bench.shaped(HELD)
    async with busy(bench.database(server)):
        held = await bench.ask(Script.answer("a", "b"), server=server)
    return judge(
        {
            "it cannot be opened": bench.in_time(gone.client, _lost(gone)),
            "it does not answer": bench.in_time(held.client, _lost(held)),
        },
        "the answers came, whole",
        {"it cannot be opened": gone.timeline, "it does not answer": held.timeline},
    )


def _lost(answer: Answer) -> str | None:
    client = answer.client
    if client.ended == "clean" and answer.told.text == "ab" and answer.told.kinds[-1] == "done":
        return None
    return f"status {client.status}, told {answer.told.kinds}"
