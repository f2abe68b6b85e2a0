"""Event streams and what a client reads in them: the cases for a parser, from simple to nasty.

An event is its type, its data and the last event ID at its blank line.
"""

from dataclasses import dataclass

STANDARD = "https://html.spec.whatwg.org/multipage/server-sent-events.html"
LINES = f"(HTML, 9.2.5, {STANDARD}#parsing-an-event-stream)"
FIELDS = f"(HTML, 9.2.6, {STANDARD}#event-stream-interpretation)"
DECODE = "(Encoding, UTF-8 decode, https://encoding.spec.whatwg.org/#utf-8-decode)"

Event = tuple[str, str, str]


@dataclass(frozen=True)
class Stream:
    """A stream in chunks, what a client reads in it, and which rule says so."""

    chunks: tuple[bytes, ...]
    events: list[Event]
    rule: str

    @property
    def wire(self) -> bytes:
        """All chunks, joined."""
        return b"".join(self.chunks)


def texts(*data: str) -> list[Event]:
    """Return events that have nothing but data."""
    return [("message", each, "") for each in data]


BLANK = f"A blank line ends an event, and its data lines are joined with a line feed {FIELDS}."
TYPE = f"The field `event` sets the type of this one event; without it, it is `message` {FIELDS}."
END = f"An event without its blank line is lost when the stream ends {FIELDS}."
COMMENT = f"A line that begins with a colon is a comment, and ignored {FIELDS}."
UNKNOWN = f"A line with any other field name is ignored; names are compared literally {FIELDS}."
SPACE = f"If a space follows the colon, it is removed: one, and nothing else {FIELDS}."
COLON = f"The first colon of a line ends the name, and the others are part of the value {FIELDS}."
BARE = f"A line without a colon is a field with an empty value {FIELDS}."
EMPTY = f"Without a data line there is no event; with an empty one there is {FIELDS}."
LAST_LF = f"A line feed stands between two data lines, also where they are empty {FIELDS}."
ID = f"The last event ID stays until another `id` sets it, also one without data {FIELDS}."
NUL = f"An `id` with a NUL in it is ignored; elsewhere a NUL is text {FIELDS}."
RETRY = f"`retry` is no part of an event; what is not all ASCII digits is ignored {FIELDS}."
ENDS = f"LF, CR and CRLF each end a line, CRLF as one; nothing else does {LINES}."
BOM = f"One byte order mark at the start of the stream is removed, and no other {DECODE}."
BROKEN = f"What is not UTF-8 becomes U+FFFD, and the stream goes on {DECODE}."

# "The standard:" marks its own examples: two in 9.2.1, and four in 9.2.6.
WHOLE: dict[bytes, tuple[list[Event], str]] = {
    # The standard: three messages.
    b"data: This is the first message.\n\n"
    b"data: This is the second message, it\ndata: has two lines.\n\n"
    b"data: This is the third message.\n\n": (
        texts(
            "This is the first message.",
            "This is the second message, it\nhas two lines.",
            "This is the third message.",
        ),
        BLANK,
    ),
    # The standard: events of two types.
    b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n": (
        [("add", "73857293", ""), ("remove", "2153", ""), ("add", "113411", "")],
        TYPE,
    ),
    # The standard: one message of three lines.
    b"data: YHOO\ndata: +2\ndata: 10\n\n": (texts("YHOO\n+2\n10"), BLANK),
    b"data: a\n\ndata: b\n": (texts("a"), END),
    b"data: a\n\ndata: b": (texts("a"), END),
    b"event: a\ndata: b\n\ndata: c\n\n": ([("a", "b", ""), ("message", "c", "")], TYPE),
    b"data: a\n: ping\ndata: b\n\n:\n\n": (texts("a\nb"), COMMENT),
    b"data: a\n- item\n[DONE]\ndata: b\n\n": (texts("a\nb"), UNKNOWN),
    b"Data: a\n data: b\ndata : c\ndata: d\n\n": (texts("d"), UNKNOWN),
    # The standard: two events that are the same.
    b"data:test\n\ndata: test\n\n": (texts("test", "test"), SPACE),
    b"data:  a \n\n": (texts(" a "), SPACE),
    b"data:\ta\n\n": (texts("\ta"), SPACE),
    b"data: a: b:c\n\n": (texts("a: b:c"), COLON),
    b"data: a\ndata\ndata: b\n\n": (texts("a\n\nb"), BARE),
    b"event: a\n\n: ping\n\n": ([], EMPTY),
    b"event: a\n\ndata: b\n\n": (texts("b"), TYPE),
    b"event: a\nevent\ndata: b\n\n": (texts("b"), TYPE),
    b"\n\ndata: a\n\n\n\n": (texts("a"), EMPTY),
    b"data\n\n": (texts(""), EMPTY),
    # The standard: events of empty lines, with a last block that does not end, and one that does.
    b"data\n\ndata\ndata\n\ndata:": (texts("", "\n"), LAST_LF),
    b"data\n\ndata\ndata\n\ndata:\n\n": (texts("", "\n", ""), LAST_LF),
    b"data: a\ndata:\ndata:\n\n": (texts("a\n\n"), LAST_LF),
    b"id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n": (
        [("message", "a", "1"), ("message", "b", "1"), ("message", "c", "2")],
        ID,
    ),
    b"id: 1\n\ndata: a\n\n": ([("message", "a", "1")], ID),
    b"id: 1\ndata: a\n\nid\ndata: b\n\n": ([("message", "a", "1"), ("message", "b", "")], ID),
    # The standard: four blocks; and the same with a last block that does not end.
    b": test stream\n\ndata: first event\nid: 1\n\n"
    b"data:second event\nid\n\ndata:  third event\n\n": (
        [("message", "first event", "1"), *texts("second event", " third event")],
        f"The last block has two spaces, and one of them stays. {SPACE}",
    ),
    b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n": (
        [("message", "first event", "1"), *texts("second event")],
        END,
    ),
    b"id: 1\nid: 2\0\ndata: a\0\n\n": ([("message", "a\0", "1")], NUL),
    b"retry: 3000\n\nretry: soon\nretry: \xc2\xb2\nretry\ndata: a\n\n": (texts("a"), RETRY),
    b"event: a\r\ndata: b\r\ndata: c\r\n\r\n": ([("a", "b\nc", "")], ENDS),
    b"event: a\rdata: b\rdata: c\r\r": ([("a", "b\nc", "")], ENDS),
    b"data: a\n\rdata: b\r\n\ndata: c\r\r\n": (texts("a", "b", "c"), ENDS),
    "data: a\u2028b\u2029c\u0085d\n\n".encode(): (texts("a\u2028b\u2029c\u0085d"), ENDS),
    b"data: a\vb\fc\x1cd\x1de\x1ef\n\n": (texts("a\vb\fc\x1cd\x1de\x1ef"), ENDS),
    "event: é\ndata: \N{GRINNING FACE}\n\n".encode(): ([("é", "\N{GRINNING FACE}", "")], DECODE),
    b"\xef\xbb\xbfdata: a\n\n": (texts("a"), BOM),
    b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n": (texts("b"), BOM),
    b"\n\xef\xbb\xbfdata: a\n\ndata: b\n\n": (texts("b"), BOM),
    b"data: \xef\xbb\xbfa\n\n\xef\xbb\xbfdata: b\n\n": (texts("\ufeffa"), BOM),
    b"data: a\xffb\n\n": (texts("a\ufffdb"), BROKEN),
    b"data: \xe2\x80\n\ndata: b\n\n": (texts("\ufffd", "b"), BROKEN),
}

ANYWHERE = f"Chunks mean nothing: a line goes on in the next one {LINES}."
SPLIT_CRLF = f"A CR and the LF after it are one line end, also in two chunks {LINES}."
ONE_LF = f"Only one LF belongs to a CR; the next one ends a line of its own {LINES}."
SPLIT_CHARACTER = f"The stream is decoded as a whole: a character may come in pieces {DECODE}."

CUT: dict[tuple[bytes, ...], tuple[list[Event], str]] = {
    (): ([], f"A stream without a byte has no event {FIELDS}."),
    (b"data: a", b"b\n", b"", b"\ndata: c\n\n"): (texts("ab", "c"), ANYWHERE),
    (b"da", b"ta", b":", b" a\n\n"): (texts("a"), ANYWHERE),
    (b"data: a\r", b"\ndata: b\r\n\r\n"): (texts("a\nb"), SPLIT_CRLF),
    (b"data: a\r", b"", b"\ndata: b\r\n\r\n"): (texts("a\nb"), SPLIT_CRLF),
    (b"data: a\r", b"\n", b"\ndata: b\r", b"\r"): (texts("a", "b"), ONE_LF),
    (b"data: \xf0\x9f", b"\x98\x80\n\n"): (texts("\N{GRINNING FACE}"), SPLIT_CHARACTER),
    (b"\xef", b"\xbb", b"", b"\xbfdata: a\n\n"): (texts("a"), BOM),
}

STREAMS = [
    *(Stream((wire,), events, rule) for wire, (events, rule) in WHOLE.items()),
    *(Stream(chunks, events, rule) for chunks, (events, rule) in CUT.items()),
]
