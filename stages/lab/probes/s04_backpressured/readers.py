"""Readers that are slow: one that stops is cut, and one that rests holds up nobody."""

import asyncio

import psutil

from stages.lab.bench.bench import SHRUNK, SMALL_BYTES, Answer, Bench
from stages.lab.bench.leaving import COME_S, STALL_S, stalled, until_closed, watch
from stages.lab.bench.verdict import Complaint, Verdict, judge
from stages.lab.clients.client import Client
from stages.lab.probes.s03_disconnect_aware import ENDLESS
from stages.lab.processes.serve import ServerOptions
from stages.lab.upstream.ledger import Entry
from stages.lab.upstream.script import Cut, Done, Finish, Raw, Role, Script, Token

SEND_TIMEOUT_S = float(SHRUNK["SEND_TIMEOUT_S"])
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
            outcomes[name] = untold(answer)
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


def untold(answer: Answer) -> str | None:
    """Return what is wrong with the way a failure is told: by one `error`, and a clean end."""
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
