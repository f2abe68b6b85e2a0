"""The timeline of a question: what the client saw and what the upstream saw, in order of time.

The server under test reports nothing, so what it did is known from both of its sides. A verdict
shows the timeline as text, a picture as arrows; `walk` is where both begin. All times count from
the client's request: client and ledger read the same clock.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from stages.lab.bench.verdict import Moment, Timeline
from stages.lab.clients.client import Client, Ending
from stages.lab.clients.dialects import Said, Told
from stages.lab.clients.sse import Comment, Event
from stages.lab.upstream.ledger import KINDS, End, Entry, Leave, Sent, SentKind

WHAT_CHARACTERS = 100  # of an event in a timeline: a token may be a megabyte


@dataclass(frozen=True)
class Asked:
    """The client sends its request, or the upstream has one."""


@dataclass(frozen=True)
class Status:
    """The client has the status of the answer, and all headers."""

    code: int


@dataclass(frozen=True)
class Heard:
    """The client has an event, and what that says to it."""

    event: Event
    said: Said


@dataclass(frozen=True)
class ClientEnds:
    """The answer ends for the client."""

    how: Ending


@dataclass(frozen=True)
class UpstreamEnds:
    """The upstream ends its answer."""

    how: End


@dataclass(frozen=True)
class Closed:
    """The upstream sees that the server has closed the connection, before the answer had ended."""

    how: Leave


@dataclass(frozen=True)
class Seen:
    """Something that the client or the upstream saw or did."""

    at_s: float
    who: Literal["client", "upstream"]
    what: Asked | Status | Comment | Heard | Sent | ClientEnds | UpstreamEnds | Closed


class Words(NamedTuple):
    """What the end of an answer is called for the client, and whether it is a bad one."""

    in_text: str
    at_a_lane: str  # which has little room
    on_the_wire: str
    bad: bool


ENDINGS: dict[Ending, Words] = {
    "clean": Words("end of the answer", "end of the answer", "the end of the answer", False),
    "cut": Words(
        "connection closed before the end", "connection cut", "the connection is cut here", True
    ),
    "reset": Words(
        "connection reset before the end", "connection reset", "the connection is reset here", True
    ),
    "malformed": Words(
        "what comes is not HTTP", "not HTTP any more", "what comes here is not HTTP", True
    ),
    "left": Words("leaves", "leaves", "the client leaves here", False),
}
# A step has the name that it has in a script.
NAMES: dict[SentKind, str] = {
    "headers": "headers",
    **{kind: step.__name__ for step, kind in KINDS.items()},
}


def walk(client: Client, told: Told, entry: Entry | None) -> list[Seen]:
    """Return all that was seen, in order of time; `told` is what the client's events say."""
    seen = [*_by_client(client, told), *_by_upstream(entry, client.sent_s)]
    return sorted(seen, key=lambda one: one.at_s)


def _by_client(client: Client, told: Told) -> Iterator[Seen]:
    start_s = client.sent_s
    yield Seen(0.0, "client", Asked())
    if client.headers_s is not None and client.status is not None:
        yield Seen(client.headers_s - start_s, "client", Status(client.status))
    said = iter(told.said)
    for at_s, item in client.items:
        what = item if isinstance(item, Comment) else Heard(item, next(said))
        yield Seen(at_s - start_s, "client", what)
    if client.ended is not None and client.ended_s is not None:
        yield Seen(client.ended_s - start_s, "client", ClientEnds(client.ended))


def _by_upstream(entry: Entry | None, start_s: float) -> Iterator[Seen]:
    if entry is None:
        return
    yield Seen(entry.received_s - start_s, "upstream", Asked())
    for sent in entry.sent:
        yield Seen(sent.at_s - start_s, "upstream", sent)
    if entry.ended is not None and entry.ended_s is not None:
        yield Seen(entry.ended_s - start_s, "upstream", UpstreamEnds(entry.ended))
    if entry.left is not None and entry.left_s is not None:
        yield Seen(entry.left_s - start_s, "upstream", Closed(entry.left))


def in_text(seen: Iterable[Seen]) -> Timeline:
    """Return what was seen as the lines of a timeline."""
    return tuple(Moment(one.at_s, one.who, _short(_line(one))) for one in seen)


def _line(seen: Seen) -> str:
    match seen.what:
        case Asked():
            return "sends the request" if seen.who == "client" else "request"
        case Status(code):
            return f"status {code}"
        case Comment(text):
            return f":{text}"
        case Heard(event):
            return f"{event.type} {event.data}"
        case Sent():
            return f"sends {_step(seen.what)}"
        case ClientEnds(how):
            return ENDINGS[how].in_text
        case UpstreamEnds(how):
            return f"ends: {how}"
        case Closed(how):
            return f"sees {how}"


def _step(sent: Sent) -> str:
    """Return the name of a step; where it has a text of its own, that."""
    if sent.kind in ("token", "raw"):
        return repr(sent.text)
    return f"tokens {sent.text}" if sent.kind == "burst" else NAMES[sent.kind]


def _short(what: str) -> str:
    return what if len(what) <= WHAT_CHARACTERS else f"{what[:WHAT_CHARACTERS]}…"
