"""An upstream that is silent: it is given up when it says nothing, and not when it is slow."""

import asyncio
import time
from dataclasses import replace

from stages.lab.bench.bench import SHRUNK, Answer, Bench
from stages.lab.bench.leaving import until_left
from stages.lab.bench.verdict import Complaint, Verdict, judge
from stages.lab.probes.s03_disconnect_aware import LONG_S
from stages.lab.probes.s04_backpressured.readers import GRACE_S, untold
from stages.lab.upstream.script import Done, Finish, Pause, Role, Script, Token

UPSTREAM_IDLE_S = float(SHRUNK["UPSTREAM_IDLE_S"])
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
    elif name != "before the headers" and untold(answer) is not None:
        wrong = f"the client was told {answer.told.kinds} and the answer ended {client.ended}"
    return bench.in_time(answer.client, wrong, UPSTREAM_IDLE_S)


def _cut_short(bench: Bench, answer: Answer) -> Complaint | None:
    if (kinds := answer.told.kinds) == ("token", "done"):
        return None
    # A pause of ours that the machine makes twice as long is a silence that has to be cut.
    told = f"it was cut all the same: {kinds}"
    return bench.witness.never(told, THINKS.seconds, since_s=answer.client.sent_s)
