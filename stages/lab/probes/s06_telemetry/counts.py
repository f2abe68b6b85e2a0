"""The probes that s06 introduces: you can tell what happened without reading prompts."""

import asyncio
import random
import re
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from stages.lab.bench.accounts import holds, rows
from stages.lab.bench.bench import Answer, Bench
from stages.lab.bench.leaving import COME_S, NeverCame, has_read, leave, running
from stages.lab.bench.scrape import NoMetrics, Samples, metrics_page, scrape
from stages.lab.bench.verdict import Complaint, Late, Verdict, complain, judge
from stages.lab.clients.dialects import read
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


FIRST = "gen_ai_server_time_to_first_token_seconds"
LATE = Script((Role(), Pause(0.4), Token("a"), Pause(0.4), Token("b"), Finish(), Done()))
EMPTY = Script((Role(), Finish(), Done()))
TRUE_S = 0.1  # measured: 5 ms; the first token comes after 0.4 s, the headers after 0, the end 0.8
CLOCK_S = 0.02  # no clock of a server may be further off than that


async def first_token_time_is_true(bench: Bench) -> Verdict:
    """Is the time to first token that of the client's clock?

    Rule: `gen_ai_server_time_to_first_token_seconds` is no more than what the client measured, from
    its request to the first text, and no less than what the upstream did, from the request that it
    got to the text that it sent; these two are less than 0.1 s apart. A stream without any text is
    not in it, and not as zero.
    Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
    """
    try:
        before = await scrape(bench.server)
        late = await bench.ask(LATE)
        since, _ = await settled(bench, before, lambda seen: seen.at(f"{FIRST}_count") > 0)
        await bench.ask(EMPTY)
        after, _ = await settled(
            bench, before, lambda seen: seen.at("gen_ai_server_streams_total") > 1
        )
    except NoMetrics as exc:
        return complain(str(exc))
    return judge(
        {
            "a late first token": _untrue(bench, since, late),
            "a stream without text": (
                None if after.at(f"{FIRST}_count") == 1 else "it was recorded all the same"
            ),
        },
        "the server's time is the client's, and a stream without text has none",
        {"a late first token": late.timeline},
    )


def _first_text_s(bench: Bench, answer: Answer) -> float | None:
    times = [at_s for at_s, item in answer.client.items if "data" in vars(item)]
    said = [bench.dialect.understand(event).kind for event in answer.client.events]
    return times[said.index("token")] if "token" in said else None


def _untrue(bench: Bench, since: Samples, answer: Answer) -> Complaint | None:
    asked_s, text_s = answer.client.sent_s, _first_text_s(bench, answer)
    if since.at(f"{FIRST}_count") != 1:
        return "there is not one record of one stream"
    if text_s is None:
        return "the client saw no text"
    assert answer.entry is not None  # the text came from it
    sent_s = next(sent.at_s for sent in answer.entry.sent if sent.kind == "token")
    least_s, most_s = sent_s - answer.entry.received_s, text_s - asked_s
    said_s = since.at(f"{FIRST}_sum")
    if said_s > most_s + CLOCK_S:
        return "the server says more than the client measured"
    if said_s < least_s - CLOCK_S:
        return "the server says less than the upstream took"
    if most_s - least_s > TRUE_S:  # anything between the two would do
        return Late(f"client and upstream are {TRUE_S:g} s apart", TRUE_S, most_s - least_s)
    return None


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


SENTINEL = "kookaburra"
QUOTES = f"Your prompt was: {SENTINEL}"
PRIVATE = {
    "an answer": Script.answer("a ", SENTINEL),
    "a cut": Script((Role(), Token(SENTINEL), Cut("mid chunk"))),
    "a refusal that quotes the prompt": Script(refusal=Refusal(400, QUOTES, "invalid_request")),
    "an error that quotes the prompt": Script((Role(), Token("a"), InBandError(QUOTES))),
}


async def logs_stay_private(bench: Bench) -> Verdict:
    """Does any text of a prompt or an answer come to the log, or into a label?

    Rule: a sentinel in both, and in what the upstream says when it quotes the prompt, is in no line
    of the log, nowhere in `/metrics`, and nowhere in the database.
    Source: https://cheatsheetseries.owasp.org/cheatsheets/Logging_Cheat_Sheet.html#data-to-exclude
    """
    outcomes = dict[str, Complaint | None]()
    timelines = {}
    begun = len(bench.server.log)
    for name, script in PRIVATE.items():
        prompt = f"{await bench.register(script)} {SENTINEL}"
        read_before = len(bench.server.log)
        async with bench.client(prompt) as client:
            await client.read(deadline_s=COME_S)
        told = read(bench.dialect, client.events)
        timelines[name] = Answer(client, told, None).timeline
        outcomes[name] = _told(bench.server.log[read_before:])
    try:
        page = await metrics_page(bench.server)
    except NoMetrics:
        page = ""
    outcomes["the whole log"] = _told(bench.server.log[begun:])  # also what came a moment later
    rows_too = holds(bench.database(bench.server), SENTINEL)
    outcomes["the usage rows"] = "it is in the database" if rows_too else None
    outcomes["the metrics"] = "it is in /metrics" if SENTINEL in page else None
    return judge(outcomes, "no text of a prompt or an answer was found", timelines)


def _told(log: str) -> str | None:
    lines = [line for line in log.splitlines() if SENTINEL in line]
    return "the log quotes it" if lines else None


GIVEN = "probe-1"


async def request_id_everywhere(bench: Bench) -> Verdict:
    """Can one stream be followed from the client to the log and to the bill?

    Rule: the id that the client sends in `X-Request-ID`, or one made here, begins the id in the
    response's header, and that one is in the error event, in a line of the log, and in the usage
    row. A refusal has it too. Sent twice, it is two streams.
    Source: https://http.dev/x-request-id
    """
    failing = await bench.register(Script((*TOKENS, Cut())))
    body = bench.dialect.ask(failing)
    outcomes = dict[str, Complaint | None]()
    for name, given in {"given": GIVEN, "given again": GIVEN, "not given": None}.items():
        headers = {} if given is None else {"x-request-id": given}
        async with bench.client_with(body, headers=headers) as client:
            await client.read(deadline_s=COME_S)
        found = client.headers.get("x-request-id", "")
        ends = read(bench.dialect, client.events).ends
        outcomes[name] = await _lost(bench, found, given, [end.value for end in ends])
    async with bench.client_with(b"{}", headers={"x-request-id": GIVEN}) as client:
        await client.read(deadline_s=COME_S)
    found = client.headers.get("x-request-id", "")
    refused = f'"request_id":"{found}"'.encode() in bytes(client.body).replace(b" ", b"")
    outcomes["a refusal"] = None if found.startswith(GIVEN) and refused else "it has another id"
    return judge(outcomes, "the id is the same in header, event, log and row", {})


async def _lost(
    bench: Bench, found: str, given: str | None, ends: list[object]
) -> Complaint | None:
    if not found:
        return "the response has no X-Request-ID"
    if given is not None and not found.startswith(given):
        return f"the response says {found!r}"
    if [end.get("request_id") for end in ends if isinstance(end, dict)] != [found]:
        return "the error event has another id"

    async def look() -> tuple[bool, bool]:
        in_log = re.search(rf"outcome=.*{re.escape(found)}", bench.server.log) is not None
        in_row = [row.id for row in rows(bench.database(bench.server))].count(found) == 1
        return in_log, in_row

    since_s = time.monotonic()
    (in_log, in_row), came_s = await bench.witness.see(look, all, SETTLED_S)
    if not (in_log and in_row):
        return "the row has another id" if in_log else "the log has another id"
    told = f"log and row came later than {SETTLED_S:g} s after the end"
    return bench.witness.late(told, SETTLED_S, since_s=since_s, came_s=came_s)
