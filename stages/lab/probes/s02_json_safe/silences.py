"""Silences: something goes over the wire while the upstream has nothing to say."""

from itertools import pairwise

from stages.lab.bench.bench import Answer, Bench
from stages.lab.bench.verdict import Complaint, Outcomes, Verdict, judge
from stages.lab.clients.sse import Comment
from stages.lab.upstream.script import Done, Finish, Pause, Role, Script, Token

SILENCE_S = 1.0  # four times the lab's PING_S, so that a late ping on a busy machine still counts


async def silence_is_bridged(bench: Bench) -> Verdict:
    """While the upstream thinks, does something go over the wire, so that no proxy cuts it?

    Rule: at least one comment line in every silence that lasts four times the ping interval. The
    lab sets `PING_S` to 0.25 in the server's environment, so that nobody has to wait for 15 s.
    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes
    (a comment line every 15 seconds or so, against proxies that drop connections).
    """
    thinking = (
        Role(),
        Pause(SILENCE_S),
        Token("a"),
        Pause(SILENCE_S),
        Token("b"),
        Finish(),
        Done(),
    )
    answer = await bench.ask(Script(thinking))
    return judge(
        _unbridged(bench, answer),
        "comments came in each silence, and the text was whole",
        {"before the first token": answer.timeline},
    )


def _unbridged(bench: Bench, answer: Answer) -> Outcomes:
    if answer.told.text != "ab":
        return {"the text": bench.in_time(answer.client, f"sent 'ab', got {answer.told.text!r}")}
    comments = [at_s for at_s, item in answer.client.items if isinstance(item, Comment)]
    entry = answer.entry
    assert entry is not None  # the text came from it
    ends = [sent.at_s for sent in entry.sent if sent.kind in ("role", "token")]
    names = ("before the first token", "between two tokens")

    def silent(start_s: float, end_s: float) -> Complaint | None:
        came_s = min((at_s for at_s in comments if at_s > start_s), default=None)
        return bench.witness.late(
            "no comment came", end_s - start_s, since_s=start_s, came_s=came_s
        )

    return {
        name: silent(start_s, end_s)
        for name, (start_s, end_s) in zip(names, pairwise(ends), strict=True)
    }
