"""Read an event stream as the HTML standard does, from bytes in chunks of any size.

`Parser` reads a live stream, `parse` a whole one; `dissect` says what becomes of every line.

Source: HTML standard, 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event stream",
https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

# int() may refuse more: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
RETRY_DIGITS = 640  # the standard sets no limit

Fate = Literal[
    "event",  # sets the type of the event
    "data",  # adds a line to the event's data
    "id",  # sets the event's id, and that of the events after it
    "retry",  # sets the reconnection time, at once
    "comment",  # is ignored, as it should be
    "dispatch",  # a blank line which ends an event: the client sees it
    "blank",  # a blank line without data before it: the client sees nothing
    "unknown field",  # is dropped by every client
    "ignored value",  # an id with a NUL, or a retry that is no plain number: is dropped
    "unfinished",  # is lost, because the stream ends first
]


@dataclass(frozen=True)
class Event:
    """What a client gets; `id` is the last event ID at dispatch, often that of an earlier event."""

    type: str = "message"
    data: str = ""
    id: str = ""


@dataclass(frozen=True)
class Comment:
    """All that follows the colon; the rule which removes a space is for fields only."""

    text: str


@dataclass(frozen=True)
class Line:
    """One line of the wire, with its line end, and what becomes of it."""

    raw: bytes
    fate: Fate


class Parser:
    """The state of one event stream. A blank line completes an event, the stream's end does not.

    `retry_ms` is the reconnection time, None until the server sets it. `last_event_id` is what a
    client sends in `Last-Event-ID`; a blank line sets it, so an unfinished event does not count.
    """

    def __init__(self) -> None:
        self.retry_ms: int | None = None
        self.last_event_id = ""
        self._tail = bytearray()  # the bytes after the last line end
        self._after_cr = False
        self._encoding = "utf-8-sig"  # removes one BOM; for the first line only
        self._type = ""
        self._data: list[str] = []  # joined at dispatch, so there is no last LF to remove
        self._id = ""

    def feed(self, chunk: bytes) -> list[Event | Comment]:
        """The events and comments which this chunk completes, in order; no bytes are an error."""
        return [item for _, item in self._read(chunk) if item is not None]

    def _read(self, chunk: bytes) -> Iterator[tuple[Line, Event | Comment | None]]:
        for raw in self._lines(chunk):
            # By lines or at once, the text is the same: no character has a CR or LF byte within.
            # "UTF-8 decode": https://encoding.spec.whatwg.org/#utf-8-decode
            text = raw.rstrip(b"\r\n").decode(self._encoding, errors="replace")
            self._encoding = "utf-8"
            fate, item = self._interpret(text)
            yield Line(raw, fate), item

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        if not chunk:
            return
        # A CR ends its line at once: to wait for an LF which may never come would delay the event.
        fresh = chunk.removeprefix(b"\n") if self._after_cr else chunk
        self._after_cr = chunk.endswith(b"\r")
        # bytes.splitlines() splits at LF, CR and CRLF. str.splitlines() splits at U+2028 and more.
        for piece in fresh.splitlines(keepends=True):
            self._tail += piece
            if piece.endswith((b"\r", b"\n")):
                yield bytes(self._tail)
                self._tail.clear()

    def _interpret(self, text: str) -> tuple[Fate, Event | Comment | None]:
        if not text:
            return self._dispatch()
        name, _, value = text.partition(":")
        if not name:
            return "comment", Comment(value)
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._type = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit() and len(value) <= RETRY_DIGITS:
                self.retry_ms = int(value)
            case "id" | "retry":
                return "ignored value", None
            case _:
                return "unknown field", None
        return name, None

    def _dispatch(self) -> tuple[Fate, Event | None]:
        self.last_event_id = self._id  # also when there is no event
        kind, data = self._type or "message", self._data
        self._type, self._data = "", []
        return ("dispatch", Event(kind, "\n".join(data), self._id)) if data else ("blank", None)


def parse(stream: bytes) -> list[Event]:
    """The events of a whole stream."""
    return [item for item in Parser().feed(stream) if isinstance(item, Event)]


def dissect(stream: bytes) -> list[Line]:
    """Every line of a whole stream and what becomes of it; all `raw`, joined, are the stream.

    Bytes after the last line end are "unfinished". In a last block without its blank line, so are
    `event`, `data` and `id`, which take effect at that line. The rest of the block keeps its fate:
    `retry` has taken effect, a comment is seen, and what is dropped is dropped in any case.
    """
    parser = Parser()
    lines = [line for line, _ in parser._read(stream)]
    if parser._tail:
        lines.append(Line(bytes(parser._tail), "unfinished"))
    for i in reversed(range(len(lines))):
        if lines[i].fate in ("dispatch", "blank"):
            break
        if lines[i].fate in ("event", "data", "id"):
            lines[i] = Line(lines[i].raw, "unfinished")
    return lines
