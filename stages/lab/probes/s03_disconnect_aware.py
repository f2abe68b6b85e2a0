"""The probes that s03 introduces: whoever opens the upstream closes it, at once, on every path."""

import re
import time
from typing import Literal

from stages.lab.bench.bench import SMALL_BYTES, Answer, Bench
from stages.lab.bench.leaving import (
    COME_S,
    WATCH_S,
    Cue,
    NeverCame,
    has_read,
    leave,
    stalled,
    upstream_is_asked,
    watch,
)
from stages.lab.bench.verdict import Complaint, Verdict, judge
from stages.lab.processes.serve import PLAIN, ServerOptions
from stages.lab.upstream.script import Cut, Pause, Role, Script, Token

AT_ONCE_S = 0.25  # measured: 1 to 5 ms; the rest is for a busy machine
LONG_S = 30.0  # how long an upstream goes on that nobody closes: longer than any probe

LEAVES: dict[str, Literal["fin", "rst"]] = {"a closed window": "fin", "a lost connection": "rst"}
TALKING = Script((Role(), *(Token(f"{i} ", delay_s=0.05) for i in range(600))))
SILENT = Script((Role(), Token("a"), Pause(LONG_S)))
THINKING = Script((Role(), Token("a")), headers_after_s=LONG_S)


async def leave_mid_stream(bench: Bench) -> Verdict:
    """The client leaves while tokens come: is the upstream closed at once?

    Rule: the upstream sees the close within 0.25 s. Until then its tokens are paid for.
    Source: https://asgi.readthedocs.io/en/latest/specs/www.html#disconnect-receive-event
    """
    return await _leave(bench, TALKING, has_read("2 "))


async def leave_in_silence(bench: Bench) -> Verdict:
    """The client leaves while the upstream is silent: is the upstream closed at once?

    Rule: as in mid-stream. Nothing can be sent in a silence, so no failed send will tell.
    Source: https://asgi.readthedocs.io/en/latest/specs/www.html#disconnect-receive-event
    """
    return await _leave(bench, SILENT, has_read("a"))


async def leave_in_silence_on_asgi_2_4(bench: Bench) -> Verdict:
    """The same on a server that tells a leave by a failing send only: is the upstream closed?

    Rule: as in silence. From spec_version 2.4 on, Starlette waits for a send to fail.
    Source: https://asgi.readthedocs.io/en/latest/specs/www.html#disconnected-client-send-exception
    """
    return await _leave(bench, SILENT, has_read("a"), ServerOptions(asgi_2_4=True))


async def leave_before_headers(bench: Bench) -> Verdict:
    """The client leaves before the upstream has sent its headers: is the upstream closed at once?

    Rule: as in mid-stream. A model may think for a minute before its headers come.
    Source: https://asgi.readthedocs.io/en/latest/specs/www.html#disconnect-receive-event
    """
    return await _leave(bench, THINKING, upstream_is_asked)


async def leave_before_headers_behind_middleware(bench: Bench) -> Verdict:
    """The same behind `@app.middleware("http")`: is the upstream closed at once?

    Rule: as before headers. The middleware stands between the handler and the server's messages.
    Source: https://www.starlette.io/middleware/#basehttpmiddleware
    """
    return await _leave(bench, THINKING, upstream_is_asked, ServerOptions(middleware=True))


async def _leave(bench: Bench, script: Script, cue: Cue, options: ServerOptions = PLAIN) -> Verdict:
    answers = {}
    for name, how in LEAVES.items():
        try:
            answers[name] = await leave(bench, script, cue, how, options)
        except NeverCame as exc:
            return judge({name: exc.complaint}, "it could leave")
    return judge(
        {name: _complaint(bench, answer) for name, answer in answers.items()},
        "the upstream was closed at once, by FIN and by RST",
        {name: answer.timeline for name, answer in answers.items()},
    )


def _complaint(bench: Bench, answer: Answer) -> Complaint | None:
    entry, left_s = answer.entry, answer.client.ended_s
    if answer.client.ended != "left" or left_s is None:
        return f"the answer had ended before the client could leave: {answer.client.ended}"
    if entry is None:
        return "the upstream was never asked"
    if entry.left_s is None:
        told = f"the upstream was still open {WATCH_S:g} s after the client had left"
        return bench.witness.never(told, WATCH_S, since_s=left_s)
    told = f"the upstream was closed, but later than {AT_ONCE_S:g} s after the client's leave"
    return bench.witness.late(told, AT_ONCE_S, since_s=left_s, came_s=entry.left_s)


# Much text in few chunks: a read holds 64 KB of them, and the SDK works off all of it, 0.1 ms a
# chunk, before it awaits anything. With small chunks the CPU would be measured and not the leave.
ENDLESS = Script((Role(), *(Token("x" * 4000) for _ in range(2500))))
BLOCKED = ServerOptions(collector=False, sndbuf_bytes=SMALL_BYTES)


async def leave_while_blocked(bench: Bench) -> Verdict:
    """A client stops reading and is then reset: is the upstream closed, with the collector off?

    Rule: as in mid-stream. The server is blocked in `send`, so nobody awaits the upstream, and what
    holds it is a suspended generator. The garbage collector must not do the server's work.
    Source: https://peps.python.org/pep-0525/#finalization
    """
    prompt = await bench.register(ENDLESS)
    server = bench.shaped(BLOCKED)
    client = bench.client_with(bench.dialect.ask(prompt), server=server, rcvbuf_bytes=SMALL_BYTES)
    async with client:
        entry = await stalled(bench, prompt)
        client.leave("rst")
    answer = await watch(bench, prompt, client)
    if entry is not None:
        outcome = _complaint(bench, answer)
    else:
        outcome = bench.in_time(client, "the upstream was never held up", COME_S)
    return judge(
        {"a stalled client is reset": outcome},
        "the upstream was closed at once, with the collector off",
        {"": answer.timeline},
    )


RECORD = re.compile(r"outcome=(\w+) events=(\d+) duration_s=([\d.]+)")
BEGUN = (Role(), Token("Hello"), Token(" wor"), Token("ld"))
ENDINGS: dict[str, Script] = {
    "completed": Script.answer("Hello", " wor", "ld"),
    "client_closed": Script((*BEGUN, Pause(LONG_S))),
    "client_closed, before the headers": THINKING,
    "upstream_failed": Script((*BEGUN, Cut())),
}
LEAVE_AT = {
    "client_closed": has_read("Hello world"),
    "client_closed, before the headers": upstream_is_asked,
}


async def outcome_is_recorded(bench: Bench) -> Verdict:
    """Does the log say of every stream, once, how it ended and what had been sent by then?

    Rule: one record for each stream with its outcome (completed, client_closed, upstream_failed),
    the number of token events, and the seconds that it took.
    Source: https://brandur.org/canonical-log-lines (one line a request, with all that counts).
    """
    outcomes = dict[str, Complaint | None]()
    timelines = {}
    for name, script in ENDINGS.items():
        read_before = len(bench.server.log)
        if (moment := LEAVE_AT.get(name)) is not None:
            try:
                answer = await leave(bench, script, moment)
            except NeverCame as exc:
                return judge({name: exc.complaint}, "it could leave")
        else:
            answer = await bench.ask(script)
        events = sum(said.kind == "token" for said in answer.told.said)
        outcomes[name] = await _not_recorded(bench, read_before, (name.split(",")[0], events))
        timelines[name] = answer.timeline
        if outcomes[name] == NO_RECORD:
            break  # nor will there be one in the other cases
    return judge(
        outcomes, f"{len(ENDINGS)} streams left one record each, and it is true", timelines
    )


NO_RECORD = "the log has no record of the stream"


async def _not_recorded(bench: Bench, read_before: int, seen: tuple[str, int]) -> Complaint | None:
    async def look() -> list[tuple[str, str, str]]:
        return RECORD.findall(bench.server.log[read_before:])

    since_s = time.monotonic()
    records, came_s = await bench.witness.see(look, bool, AT_ONCE_S)
    if not records:
        return NO_RECORD
    said = [(how, int(events)) for how, events, _ in records]
    if said != [seen]:
        return f"the log says {said} instead of [{seen}]"
    told = f"the record came later than {AT_ONCE_S:g} s after the end"
    return bench.witness.late(told, AT_ONCE_S, since_s=since_s, came_s=came_s)


PROBES = (
    leave_mid_stream,
    leave_in_silence,
    leave_in_silence_on_asgi_2_4,
    leave_before_headers,
    leave_before_headers_behind_middleware,
    leave_while_blocked,
    outcome_is_recorded,
)
