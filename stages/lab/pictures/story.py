"""The story of one answer: what passed between client, server and upstream, and what was told.

The server under test reports nothing. What passes through it is known from both of its sides: from
the bytes that the client read, and from the upstream's ledger. All times count from the client's
request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from stages.lab.bench.bench import Answer
from stages.lab.bench.timeline import (
    ENDINGS,
    Asked,
    ClientEnds,
    Closed,
    Heard,
    Seen,
    Status,
    UpstreamEnds,
)
from stages.lab.clients.dialects import Said
from stages.lab.clients.sse import Comment
from stages.lab.upstream.ledger import SENT_KEPT, Entry, Sent, SentKind

Gap = Literal["client", "upstream"]  # the gap between that one and the server
Kind = Literal["request", "leave", "token", "burst", "raw", "ping", "done", "error", "other"]
Sense = Literal["done", "failure told", "failure not told", "left"]


@dataclass(frozen=True)
class Passing:
    """Something that passes between two of the three."""

    at_s: float
    gap: Gap
    kind: Kind
    what: str


@dataclass(frozen=True)
class LaneEnd:
    """How the lane of the client or the upstream ends; `at_s` is None while it goes on."""

    at_s: float | None
    words: str
    bad: bool = False


@dataclass(frozen=True)
class Message:
    """What the client was told of the end, and what that is worth."""

    words: str
    worth: str
    sense: Sense


# `{}` is the text of the step.
ARROWS: dict[SentKind, tuple[Kind, str]] = {
    "headers": ("other", "headers"),
    "role": ("other", "role"),
    "token": ("token", "{!r}"),
    "burst": ("burst", "tokens {}"),
    "tool call": ("other", "tool call"),
    "empty": ("other", "empty chunk"),
    "finish": ("done", "finish"),
    "usage": ("other", "usage"),
    "done": ("other", "[DONE]"),
    "error": ("error", "error"),
    "raw": ("raw", "raw {!r}"),
}


def passings(answer: Answer) -> list[Passing]:
    """Return what passed, in order of time."""
    found = ((seen, _passing(seen)) for seen in answer.seen)
    return [Passing(seen.at_s, seen.who, *passing) for seen, passing in found if passing]


def _passing(seen: Seen) -> tuple[Kind, str] | None:
    """Return the kind and the words of what passes; None where an answer ends and nothing does."""
    match seen.what:
        case Asked():
            return "request", "request"
        case Status(code):
            return "error" if code >= 400 else "other", f"status {code}"
        case Comment():
            return "ping", "ping"
        case Heard(said=Said("token", text)):
            return "token", repr(text)
        case Heard(said=Said(kind)):
            return "other" if kind == "unreadable" else kind, kind
        case Sent(kind=sent, text=text):
            step, words = ARROWS[sent]
            return step, words.format(text)
        case ClientEnds("left") | Closed():
            return "leave", "closes"
        case UpstreamEnds("refused"):
            return "error", "refusal"
    return None


def client_end(answer: Answer) -> LaneEnd:
    """Return how the answer ended for the client."""
    client = answer.client
    if client.ended is None or client.ended_s is None:
        return LaneEnd(None, "still reads")
    words = ENDINGS[client.ended]
    return LaneEnd(client.ended_s - client.sent_s, words.at_a_lane, words.bad)


def upstream_end(answer: Answer) -> LaneEnd:
    """Return how the upstream's answer ended."""
    entry, start_s = answer.entry, answer.client.sent_s
    if entry is None:
        return LaneEnd(None, "is never asked")
    if entry.left_s is not None:
        return LaneEnd(entry.left_s - start_s, "closed by the server")
    if entry.ended_s is None:
        return LaneEnd(None, "still open")
    at_s = entry.ended_s - start_s
    if _is_whole(entry):
        return LaneEnd(at_s, "end of the answer")
    if any(sent.kind == "error" for sent in entry.sent):
        return LaneEnd(at_s, "ends in an error", bad=True)
    words = {"cut": "breaks off", "refused": "refuses", "complete": "ends without a finish"}
    return LaneEnd(at_s, words[str(entry.ended)], bad=True)


def _is_whole(entry: Entry) -> bool:
    """Return whether the upstream's answer is complete; a ledger that is full cannot tell."""
    finished = any(sent.kind == "finish" for sent in entry.sent)
    return entry.ended == "complete" and (finished or len(entry.sent) >= SENT_KEPT)


def sent_text(answer: Answer) -> str | None:
    """Return the text of all tokens that the upstream sent; None where the ledger has not all."""
    if answer.entry is None:
        return ""
    texts = [sent.text for sent in answer.entry.sent if sent.kind == "token"]
    return "".join(texts) if len(texts) == answer.entry.tokens else None


def message(answer: Answer) -> Message:
    """Return what the client was told of the end, and whether it can rely on that."""
    client, ends = answer.client, [said.kind for said in answer.told.ends]
    if not ends and client.ended in ("left", None):
        worth = "it left first" if client.ended else "it still reads"
        return Message("told: nothing", worth, "left")
    if not ends and client.status is not None and client.status >= 400:
        return Message(f"told: status {client.status}", "the failure is told", "failure told")
    complaint = _complaint(answer, ends)
    words = f"told: {', '.join(ends) or 'nothing'}"
    if complaint is not None:
        return Message(words, complaint, "failure not told")
    if ends == ["error"]:
        return Message(words, "the failure is told", "failure told")
    return Message(words, "which is true", "done")


def _complaint(answer: Answer, ends: Sequence[str]) -> str | None:
    """Return why the client cannot rely on what it was told, None when it can."""
    then = client_end(answer)
    if not ends:
        return "only that it is over" if answer.client.ended == "clean" else then.words
    if len(ends) > 1:
        return "only one may come"
    if then.bad:
        return f"then {then.words}"
    if ends == ["done"] and upstream_end(answer).bad:
        return "which is not true"
    if ends == ["done"] and sent_text(answer) not in (None, answer.told.text):
        return "but the text is damaged"
    return None
