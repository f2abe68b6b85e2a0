"""Events with one JSON document each: the cases for an encoder, and how a client reads them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stages.lab.checks.s01_naive.streams import FIELDS, LINES
from stages.lab.clients import sse
from stages.lab.exercises.attempt import caret, show
from stages.lab.exercises.outcome import NotYet

JSON = "(RFC 8259, section 7, https://www.rfc-editor.org/rfc/rfc8259#section-7)"
FORM = f"An event is a line `event: NAME`, a line `data: DOCUMENT` and a blank line {FIELDS}."
QUOTED = f"The data is JSON: quotes, backslashes and control characters are escaped {JSON}."
ONE_LINE = f"LF, CR and CRLF each end a line; in JSON they are \\n and \\r {LINES}."
ASCII = f"JSON can write any character as \\uXXXX: then every byte is ASCII {JSON}."
ANY = (
    "A document is an object, an array, a string, a number, true, false or null "
    "(RFC 8259, section 3, https://www.rfc-editor.org/rfc/rfc8259#section-3)."
)


@dataclass(frozen=True)
class Case:
    """An event to encode, and the rule that is most easily broken with it."""

    name: str
    document: Any
    rule: str

    @property
    def call(self) -> str:
        """The call as the learner would write it."""
        return f"encode({self.name!r}, {show(self.document)})"


NO_OBJECTS: tuple[Any, ...] = ([1.5, "a"], "text", "", [], 0, False, None)

EVENTS = (
    Case("token", {"index": 0, "text": "The"}, FORM),
    Case("done", {"finish_reason": "stop", "usage": None}, QUOTED),
    Case("token", {"index": 1, "text": 'say "hi" \\n {}'}, QUOTED),
    Case("token", {"index": 2, "text": "one\n\ntwo"}, ONE_LINE),
    Case("token", {"index": 3, "text": "a\rb\r\nc"}, ONE_LINE),
    Case("token", {"index": 4, "text": "x\n\nevent: error\ndata: {}\n\n"}, ONE_LINE),
    Case("token", {"index": 5, "text": "caf\u00e9 \N{GRINNING FACE}"}, ASCII),
    Case("token", {"index": 6, "text": "a\u2028b\u2029c\u0085d\vd\fe"}, ASCII),
    Case("token", {"index": 7, "text": "half \ud83d"}, ASCII),
    Case("token", {"index": 8, "text": "\ude00 half"}, ASCII),
    Case("token", {"index": 9, "text": "\0\x1b\x7f"}, QUOTED),
    Case("token", {"": 0, "a\nb": 1, "c: d": 2, "\u00e9": 3}, ONE_LINE),
    Case("done", {"usage": {"details": [{"tokens": 7}, [], {}]}}, ANY),
    Case("done", {}, ANY),
    *(Case("note", document, ANY) for document in NO_OBJECTS),
    Case("token", {"index": 10, "text": "x" * 1_000_000 + "\n"}, ONE_LINE),
)

FORGED = f"A line end in the name would begin a line of its own, so it is refused {LINES}."
# What a name should not be, and why.
NAMES = {
    "token\ndata: forged": FORGED,
    "token\rdata: forged": FORGED,
    "token\r\n\r\nevent: error": FORGED,
    "token\n": FORGED,
    "": f"An event with an empty name has the type `message`, so it is refused {FIELDS}.",
    "r\u00e9ponse": f"A name is no JSON and has no escapes: what is not ASCII is refused {FIELDS}.",
}


def check(call: str, wire: object, cases: tuple[Case, ...]) -> None:
    """Raise NotYet unless a client reads exactly these events in the bytes."""
    expected, rule = told(cases), cases[-1].rule
    if not isinstance(wire, bytes):
        raise NotYet(call, f"{show(wire)}, and no bytes", expected, "A connection takes bytes.")
    for index, what in _flaws(wire):
        raise NotYet(call, what, expected, rule, caret(wire, index))
    events = sse.parse(wire)
    if len(events) != len(cases):
        got = " and ".join(f"event {event.type!r}" for event in events) or "no event"
        raise NotYet(call, f"{len(events)} events: {got}", expected, rule, caret(wire, len(wire)))
    for event, case in zip(events, cases, strict=True):
        _compare(call, event, case, expected)


def in_the_name(name: str, wire: object) -> str:
    """Return where the bytes have what makes this name wrong, if they have it."""
    index = next((i for i, letter in enumerate(name) if letter in "\r\n" or letter > "\x7f"), None)
    if index is None or not isinstance(wire, bytes) or name.encode() not in wire:
        return ""
    return caret(wire, wire.index(name.encode()) + len(name[:index].encode()))


def told(cases: tuple[Case, ...]) -> str:
    """Return what a client should read."""
    read = " and ".join(f"event {case.name!r} with {show(case.document)}" for case in cases)
    return f"bytes in which a client reads {read}"


def _flaws(wire: bytes) -> Iterator[tuple[int, str]]:
    """Yield what no event should have, and where."""
    for index, byte in enumerate(wire):
        if byte > 127:
            yield index, f"the byte {byte:#x}, which is not ASCII"
    end = 0
    for line in sse.dissect(wire):
        if line.fate in ("unknown field", "ignored value"):
            yield end, f"a line that every client drops: {show(line.raw)}"
        end += len(line.raw)
        if line.fate == "unfinished":
            yield len(wire), "an event without the blank line that ends it"


def _compare(call: str, event: sse.Event, case: Case, expected: str) -> None:
    if event.type != case.name:
        raise NotYet(call, f"event {event.type!r}", expected, FORM)
    try:
        document = json.loads(event.data)
    except ValueError as exc:
        at = caret(event.data, getattr(exc, "pos", 0))
        raise NotYet(call, f"data that is no JSON: {exc}", expected, case.rule, at) from None
    # As text: to Python, False is 0.
    sent, got = (json.dumps(one, sort_keys=True) for one in (case.document, document))
    if got != sent:
        pairs = enumerate(zip(got, sent, strict=False))
        index = next((i for i, (one, other) in pairs if one != other), min(len(got), len(sent)))
        read = f"event {event.type!r} with {show(document)}"
        raise NotYet(call, read, expected, case.rule, caret(got, index))
