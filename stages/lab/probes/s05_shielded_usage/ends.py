"""Ends: whether a stream is complete, failed, left or cut, it has one final row."""

from collections.abc import Mapping
from functools import partial

from stages.lab.bench.accounts import Row, rows
from stages.lab.bench.bench import SHRUNK, Bench
from stages.lab.bench.leaving import NeverCame, has_read, leave, until_closed, upstream_is_asked
from stages.lab.bench.verdict import Complaint, Verdict, judge
from stages.lab.probes.s03_disconnect_aware import ENDLESS, THINKING
from stages.lab.probes.s04_backpressured.readers import SMALL, slow_client
from stages.lab.probes.s05_shielded_usage.accounting import FINAL_S, NO_ROW, Check, one_row, says
from stages.lab.upstream.script import Cut, Done, Finish, Pause, Refusal, Role, Script, Token, Usage

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
