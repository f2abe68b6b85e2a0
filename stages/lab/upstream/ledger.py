"""The ledger: what the upstream saw and did, one entry a request.

All times are `time.monotonic()` in seconds. On Linux and macOS that clock is one for all processes
of a machine, so an entry can be laid beside what a client in another process saw. What was sent has
the time before the kernel took it, what came the time after: no effect is older than its cause.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl

from stages.lab.upstream.checked import Checked, make
from stages.lab.upstream.script import (
    Done,
    Empty,
    Finish,
    InBandError,
    Raw,
    Role,
    Step,
    Token,
    ToolCall,
    Usage,
)

SENT_KEPT = 64  # steps kept with their time: enough for every picture, and a firehose stays cheap

SentKind = Literal[
    "headers",
    "role",
    "token",
    "burst",
    "tool call",
    "empty",
    "finish",
    "usage",
    "done",
    "error",
    "raw",
]
KINDS: dict[type[Step], SentKind] = {  # of the steps that send one chunk
    Role: "role",
    Token: "token",
    ToolCall: "tool call",
    Empty: "empty",
    Finish: "finish",
    Usage: "usage",
    Done: "done",
    InBandError: "error",
    Raw: "raw",
}

End = Literal["complete", "cut", "refused"]
Leave = Literal["fin", "rst"]
Milestone = Literal["received", "headers", "ended", "left"]


class Sent(NamedTuple):  # JSON writes it as a list: a prompt may have hundreds of entries
    """One step that was sent; `at_s` is just before the kernel took it.

    `text` is that of a token, or the raw text as the script has it; of a burst, many tokens in one
    write, it says which of them: `0 to 63`.
    """

    at_s: float
    kind: SentKind
    text: str = ""

    @classmethod
    def of(cls, step: Step, at_s: float) -> "Sent":
        """Return a step that sends one chunk as the ledger keeps it."""
        return cls(at_s, KINDS[type(step)], step.text if isinstance(step, Token | Raw) else "")


@dataclass
class Entry:
    """One request as the upstream saw it.

    `ended` is the upstream's own end of its answer; `left` is how the other side closed the
    connection before that end. At most one of the two is set. An answer has ended when the kernel
    has taken its last byte, whether or not the other side has read it.

    `tokens` and `sent_bytes` (headers included) count what the kernel has taken, the last of it at
    `last_s`; `sent` has the first SENT_KEPT steps and when each was taken.
    """

    id: int
    script: str | None
    asked: dict[str, Any]
    request_headers: dict[str, str] = field(default_factory=dict)
    received_s: float = field(default_factory=time.monotonic)
    headers_s: float | None = None
    ended: End | None = None
    ended_s: float | None = None
    left: Leave | None = None
    left_s: float | None = None
    tokens: int = 0
    sent_bytes: int = 0
    last_s: float | None = None
    sent: list[Sent] = field(default_factory=list)
    on_change: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)

    def take(self, count: int, at_s: float) -> None:
        """Keep that the kernel took so many bytes."""
        self.sent_bytes, self.last_s = self.sent_bytes + count, at_s

    def note(self, sent: Sent) -> None:
        """Keep a step that was sent, if it is one of the first."""
        if len(self.sent) < SENT_KEPT:
            self.sent.append(sent)

    def start(self, at_s: float) -> None:
        """Keep that the headers were sent."""
        self.note(Sent(at_s, "headers"))
        self.headers_s = at_s
        self.on_change()

    def end(self, how: End, at_s: float) -> None:
        """Keep that the upstream ended its answer."""
        self.ended, self.ended_s = how, at_s
        self.on_change()

    def leave(self, how: Leave, at_s: float) -> None:
        """Keep that the other side closed before the answer had ended."""
        self.left, self.left_s = how, at_s
        self.on_change()

    def reached(self, milestone: Milestone) -> bool:
        """Return whether the request has come to this point."""
        return getattr(self, f"{milestone}_s") is not None

    def to_json(self) -> dict[str, Any]:
        """Return the entry as a JSON object."""
        return {
            item.name: getattr(self, item.name)
            for item in dataclasses.fields(self)
            if item.name != "on_change"
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Entry":
        """Return the entry that `to_json` wrote."""
        return cls(**{**document, "sent": [Sent(*sent) for sent in document["sent"]]})


@dataclass(frozen=True)
class Query(Checked):
    """What to wait for: `count` entries of a script (of all with None) that have come `until`."""

    script: str | None = None
    until: Milestone = "received"
    count: int = 0
    deadline_s: float = 0.0

    @classmethod
    def from_url(cls, text: str) -> "Query":
        """Return the query that stands behind the `?` of an address; raises ValueError."""
        fields: dict[str, Any] = dict(parse_qsl(text, keep_blank_values=True))
        for name, number in (("count", int), ("deadline_s", float)):
            with suppress(ValueError, KeyError):  # what is no number is refused by its name below
                fields[name] = number(fields[name])
        return make(cls, fields)


class Ledger:
    """All entries, in the order in which the requests came."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._news = asyncio.Event()

    def open(
        self, script: str | None, asked: dict[str, Any], request_headers: dict[str, str]
    ) -> Entry:
        """Add an entry for a request that came now, and return it."""
        entry = Entry(len(self.entries), script, asked, request_headers, on_change=self._news.set)
        self.entries.append(entry)
        self._news.set()
        return entry

    async def wait(
        self, script: str | None, until: Milestone, count: int, deadline_s: float
    ) -> list[Entry]:
        """Return the entries of a script (of all with None), waiting for `count` to come so far.

        Returns what there is when `deadline_s` is over.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while sum(entry.reached(until) for entry in self._of(script)) < count:
                    self._news.clear()
                    await self._news.wait()
        return self._of(script)

    def _of(self, script: str | None) -> list[Entry]:
        return [entry for entry in self.entries if script in (None, entry.script)]
