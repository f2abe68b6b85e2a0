"""The probes that s04 introduces: every wait and every buffer has a bound."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

import psutil

from stages.lab.bench.bench import SHRUNK, SMALL_BYTES, Answer, Bench
from stages.lab.bench.leaving import (
    COME_S,
    STALL_S,
    NeverCame,
    running,
    stalled,
    until_closed,
    until_left,
    watch,
)
from stages.lab.bench.refusals import WAITED_S, not_status, refused, status_timeline
from stages.lab.bench.verdict import Complaint, Verdict, complain, judge
from stages.lab.clients.client import Client
from stages.lab.probes.s03_disconnect_aware import AT_ONCE_S, ENDLESS, LONG_S, TALKING
from stages.lab.processes.process import Process
from stages.lab.processes.serve import ServerOptions
from stages.lab.upstream.ledger import Entry
from stages.lab.upstream.script import (
    Cut,
    Done,
    Finish,
    InBandError,
    Pause,
    Raw,
    Refusal,
    Role,
    Script,
    Token,
)

SEND_TIMEOUT_S = float(SHRUNK["SEND_TIMEOUT_S"])
UPSTREAM_IDLE_S = float(SHRUNK["UPSTREAM_IDLE_S"])
GRACE_S = 0.5  # measured: 5 to 20 ms after the timeout; the rest is for a busy machine
# A client that stops reading is felt after 80 KB, not 4 MB.
SMALL = ServerOptions(sndbuf_bytes=SMALL_BYTES)


def slow_client(bench: Bench, prompt: str, options: ServerOptions) -> Client:
    """Return a client for which the kernels keep little."""
    return bench.client_with(
        bench.dialect.ask(prompt), server=bench.shaped(options), rcvbuf_bytes=SMALL_BYTES
    )


async def stalled_reader_is_cut(bench: Bench) -> Verdict:
    """A client stays and reads nothing more: does the server give its stream up?

    Rule: the upstream is closed within SEND_TIMEOUT_S + 0.5 s after it could send nothing more to a
    client that had stopped, in the middle or at the start, and not at once: a client may rest. The
    lab sets SEND_TIMEOUT_S to 1.
    Source: https://nginx.org/en/docs/http/ngx_http_core_module.html#send_timeout
    """
    moments = {"it stops in the middle": 1, "it has never read": 0}
    stalls = await asyncio.gather(*(_stall(bench, events) for events in moments.values()))
    answers = dict(zip(moments, stalls, strict=True))
    return judge(
        {name: _held(bench, answer) for name, answer in answers.items()},
        "the upstream was closed when the reader had taken nothing for SEND_TIMEOUT_S",
        {name: answer.timeline for name, answer in answers.items()},
    )


async def _stall(bench: Bench, events: int) -> Answer:
    """Ask for more than all buffers hold, and stop reading after so many events."""
    prompt = await bench.register(ENDLESS)
    async with slow_client(bench, prompt, SMALL) as client:
        await client.read(lambda: len(client.events) >= events, deadline_s=COME_S)
        await until_closed(bench, prompt, SEND_TIMEOUT_S + GRACE_S)
        client.leave("rst")
    return await watch(bench, prompt, client)


def _held(bench: Bench, answer: Answer) -> Complaint | None:
    entry, left_s = answer.entry, answer.client.ended_s
    assert left_s is not None  # the client has left, at the latest
    if entry is None or entry.last_s is None:
        return "the upstream was never asked"
    # Half of it: the clock may start a little before the client stops, and never so much.
    if entry.left_s is not None and entry.left_s - entry.received_s < SEND_TIMEOUT_S / 2:
        return "the upstream was closed at once: no client could rest for a moment"
    bound_s = SEND_TIMEOUT_S + GRACE_S
    told = f"the upstream was still open {bound_s:g} s later"
    if entry.left_s is None or entry.left_s > left_s:
        return bench.witness.never(told, bound_s, since_s=entry.last_s)
    return bench.witness.late(told, bound_s, since_s=entry.last_s, came_s=entry.left_s)


# Between upstream and client, the buffers hold 600 of these tokens; a backlog of 64 KB holds 1090.
# The comments are 8 KB each, so that the kernels before the server hold few tokens, on any day. A
# token has its number in it: a lost one is seen.
FILLER = Raw(f": {'x' * 8000}\n\n")
LONG = Script(
    (
        Role(),
        *(step for i in range(1400) for step in (Token(f"{i:>59} "), FILLER)),
        Finish(),
        Done(),
    )
)
LONG_AND_CUT = Script((*LONG.steps[:-2], Cut()))
# A busy server may need more than a second until it is held up: no clock of its own ends it before.
PATIENT = ServerOptions(sndbuf_bytes=SMALL_BYTES, env=(("SEND_TIMEOUT_S", "10"),))


async def slow_reader_frees_upstream(bench: Bench) -> Verdict:
    """A client rests for a moment and then reads on: does the upstream have to wait for it?

    Rule: while the client rests, the upstream comes to its end. Then the client gets every
    character, in order, in fewer events than there were tokens: what has piled up is one event. An
    upstream that breaks off at its end has sent them, too, and they come before the `error`.
    Source: https://www.reactive-streams.org/ (a slow consumer must not hold up its producer for
    longer than a bounded buffer allows).
    """
    outcomes, timelines = dict[str, Complaint | None](), {}
    cases = {"a client that rests": LONG, "and the upstream fails": LONG_AND_CUT}
    for name, script in cases.items():
        answer, resting = await _rest(bench, script)
        outcomes[name], timelines[name] = _unfree(bench, answer, resting), answer.timeline
        if outcomes[name] is None and script is LONG_AND_CUT:
            outcomes[name] = _untold(answer)
        if outcomes[name] is not None:
            break  # who loses text when all goes well has nothing to say of a failure
    holds = "the upstream had ended before the client read on, and no character was lost"
    return judge(outcomes, holds, timelines)


async def _rest(bench: Bench, script: Script) -> tuple[Answer, Entry | None]:
    """Ask, and rest until the upstream has ended, or is held up; then read on."""
    prompt = await bench.register(script)
    async with slow_client(bench, prompt, PATIENT) as client:
        await client.read(lambda: len(client.events) > 0, deadline_s=COME_S)
        resting = await stalled(bench, prompt)
        if resting is not None and resting.ended is not None:
            await client.read(deadline_s=COME_S)
        client.leave("rst")
    return await watch(bench, prompt, client), resting


def _untold(answer: Answer) -> str | None:
    ends = [said.kind for said in answer.told.ends]
    if ends != ["error"] or answer.client.ended != "clean":
        told = ", ".join(ends) or "nothing"
        return f"the client was told {told}, and the answer ended {answer.client.ended}"
    return None


def _unfree(bench: Bench, answer: Answer, resting: Entry | None) -> Complaint | None:
    if resting is None or resting.last_s is None:
        told = f"the upstream had not come to rest after {COME_S:g} s"
        return bench.in_time(answer.client, told, COME_S)
    if resting.left is not None:
        return "the upstream was closed while the client rested"
    if resting.ended is None:
        told = "the upstream was held up for as long as the client rested"
        return bench.witness.never(told, STALL_S, since_s=resting.last_s)
    if answer.told.text != LONG.text:
        return f"sent {len(LONG.text)} characters, got {len(answer.told.text)}, or not those"
    tokens = sum(said.kind == "token" for said in answer.told.said)
    if tokens >= resting.tokens:
        return "every token was an event of its own, however many had piled up"
    return None


AHEAD_BYTES = 4_000_000  # measured: 1 MB, the kernel's; ENDLESS has 10 MB
GROWN_BYTES = 1_000_000 + 2 * 65_536  # 1 MB, and the backlog and its largest event


async def backlog_is_bounded(bench: Bench) -> Verdict:
    """A client reads nothing and the upstream sends without end: does the server's memory stay?

    Rule: the server reads less than 4 MB of 10 MB, and its resident memory grows by its backlog
    (64 KB) and 1 MB at most. The lab sets SEND_TIMEOUT_S to 10, so that nothing is cut before.
    Source: https://nodejs.org/en/learn/modules/backpressuring-in-streams
    """
    await _warm_up(bench)
    server = psutil.Process(bench.shaped(PATIENT).pid)
    before_bytes = most_bytes = server.memory_info().rss
    prompt = await bench.register(ENDLESS)
    async with slow_client(bench, prompt, PATIENT) as client:
        held = asyncio.create_task(stalled(bench, prompt))
        while not held.done():
            most_bytes = max(most_bytes, server.memory_info().rss)
            await asyncio.wait({held}, timeout=0.02)  # a look at a number: nothing tells its peak
        client.leave("rst")
    answer = await watch(bench, prompt, client)
    return judge(
        {"a client that never reads": _unbounded(answer.entry, most_bytes - before_bytes)},
        "the server read no further ahead than its bounds, and its memory stayed",
        {"a client that never reads": answer.timeline},
    )


async def _warm_up(bench: Bench) -> None:
    """Let the server do once what it will do: the first time takes memory for good."""
    texts = [step.text for step in ENDLESS.steps[1:101] if isinstance(step, Token)]
    await bench.ask(Script.answer(*texts), server=bench.shaped(PATIENT))


def _unbounded(entry: Entry | None, grown_bytes: int) -> str | None:
    if entry is None:
        return "the upstream was never asked"
    # Measured: the buffers are full after 0.1 s, so what is closed before a quarter was not cut.
    if entry.left_s is not None and entry.left_s - entry.received_s < SEND_TIMEOUT_S / 4:
        return "the upstream was closed before anything could pile up"
    if grown_bytes > GROWN_BYTES:
        return "the server's memory grew by more than 1 MB and its backlog"
    if entry.sent_bytes > AHEAD_BYTES:
        return f"the server read more than {AHEAD_BYTES // 1_000_000} MB ahead of its reader"
    return None


SILENCES = {
    "before the headers": Script((Role(), Token("a")), headers_after_s=LONG_S),
    "before the first token": Script((Role(), Pause(LONG_S))),
    "after the first token": Script((Role(), Token("a"), Pause(LONG_S))),
}
THINKS = Pause(UPSTREAM_IDLE_S / 2)
THOUGHTFUL = Script((Role(), THINKS, Token("a"), THINKS, Token("b"), THINKS, Finish(), Done()))


async def silent_upstream_is_cut(bench: Bench) -> Verdict:
    """The upstream falls silent and stays connected: does the client get to know?

    Rule: after UPSTREAM_IDLE_S of silence, and 0.5 s at most, the upstream is closed and the client
    told: by 504 before the first byte, by one `error` event after it. An upstream that pauses for
    less is not cut, however long its answer takes. The lab sets UPSTREAM_IDLE_S to 2.
    Source: https://www.rfc-editor.org/rfc/rfc9110#status.504
    """
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(_silence(bench, SILENCES[name])) for name in SILENCES}
        pauses = group.create_task(bench.ask(THOUGHTFUL))
    answers = {name: task.result() for name, task in tasks.items()}
    answers["short pauses"] = pauses.result()
    complaints = {name: _silent(bench, answers[name], name) for name in SILENCES}
    complaints["short pauses"] = _cut_short(bench, answers["short pauses"])
    return judge(
        complaints,
        "the upstream was closed and the client told; an upstream that paused was left alone",
        {name: answer.timeline for name, answer in answers.items()},
    )


async def _silence(bench: Bench, script: Script) -> Answer:
    """Ask, and wait for the end no longer than the rule and a second."""
    answer = await bench.ask(script, deadline_s=UPSTREAM_IDLE_S + 2 * GRACE_S)
    if (entry := answer.entry) is None:
        return answer
    # The client may know of the end before the upstream has seen the close.
    seen = await until_left(bench, entry.script or "", time.monotonic(), GRACE_S)
    return replace(answer, entry=seen)


def _silent(bench: Bench, answer: Answer, name: str) -> Complaint | None:
    client, entry = answer.client, answer.entry
    if entry is None:
        return "the upstream was never asked"
    silent_since_s, bound_s = entry.last_s or entry.received_s, UPSTREAM_IDLE_S + GRACE_S
    told = f"the upstream was still open after {bound_s:g} s of silence"
    late = bench.witness.late(told, bound_s, since_s=silent_since_s, came_s=entry.left_s)
    if late is not None:
        return late
    wrong = None
    if name == "before the headers" and client.status != 504:
        wrong = f"the status was {client.status} instead of 504"
    elif name != "before the headers" and _untold(answer) is not None:
        wrong = f"the client was told {answer.told.kinds} and the answer ended {client.ended}"
    return bench.in_time(answer.client, wrong, UPSTREAM_IDLE_S)


def _cut_short(bench: Bench, answer: Answer) -> Complaint | None:
    if (kinds := answer.told.kinds) == ("token", "done"):
        return None
    # A pause of ours that the machine makes twice as long is a silence that has to be cut.
    told = f"it was cut all the same: {kinds}"
    return bench.witness.never(told, THINKS.seconds, since_s=answer.client.sent_s)


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


SCRIPTS = {
    "complete": Script.answer("a"),
    "cut by the upstream": Script((Role(), Token("a"), Cut())),
    "failed by the upstream": Script((Role(), Token("a"), InBandError())),
    "left silent by the upstream": SILENCES["after the first token"],
    "refused by the upstream": Script(refusal=Refusal(500)),
}


SMALL_HOUSE = replace(HOUSE, sndbuf_bytes=SMALL_BYTES)


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
            for name, end in _ways_to_end(bench, server).items():
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


WayToEnd = Callable[[], AbstractAsyncContextManager[float]]


def _ways_to_end(bench: Bench, server: Process) -> dict[str, WayToEnd]:
    """Return ways to end a stream; each says when it had ended."""

    @asynccontextmanager
    async def play(script: Script) -> AsyncIterator[float]:
        client = (await bench.ask(script, server=server)).client
        if client.status == 503:
            raise NeverCame("a stream that may run was refused with status 503")
        yield client.ended_s or time.monotonic()

    @asynccontextmanager
    async def left() -> AsyncIterator[float]:
        async with running(bench, server, TALKING):
            pass
        yield time.monotonic()

    @asynccontextmanager
    async def stalled_reader() -> AsyncIterator[float]:
        prompt = await bench.register(ENDLESS)
        async with slow_client(bench, prompt, SMALL_HOUSE):  # its leave would be another ending
            if not await bench.entries(prompt, "received", 1, GRACE_S):
                raise NeverCame("a stream that may run did not reach the upstream")
            await until_closed(bench, prompt, SEND_TIMEOUT_S + GRACE_S)
            yield time.monotonic()

    @asynccontextmanager
    async def turned_away() -> AsyncIterator[float]:
        await _is_full_with_one_more(bench, server)
        yield time.monotonic()

    @asynccontextmanager
    async def bad() -> AsyncIterator[float]:
        await refused(bench.client_with(b"{}", server=server))
        yield time.monotonic()

    return {
        **{f"a stream that was {name}": partial(play, SCRIPTS[name]) for name in SCRIPTS},
        "a client that left": left,
        "a reader that stalled": stalled_reader,
        "a request that was turned away": turned_away,
        "a bad request": bad,
    }


async def _slot_after(bench: Bench, server: Process, end: WayToEnd) -> Complaint | None:
    """Have a stream end in this way; returns the complaint about its slot."""
    deadline_s = time.monotonic() + COME_S
    while True:
        try:
            async with end() as ended_s:
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
