"""The exercise `parser`: every stream of `streams`, in every way in which it can come."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from stages.lab.checks.s01_naive.streams import STREAMS, Stream
from stages.lab.clients import sse
from stages.lab.exercises.attempt import calling, caret, show
from stages.lab.exercises.exercise import Short
from stages.lab.exercises.outcome import NotYet

MANY = 1_000  # events: no stream here has ten, so whoever gives more gives them for ever
ONCE = "The chunks come one after the other, and only once, as from a connection."


@dataclass(frozen=True)
class Feed:
    """One call of the parser: a stream, in the chunks in which it is handed over."""

    call: str
    chunks: Sequence[bytes]
    stream: Stream
    why: str = ""

    @property
    def rule(self) -> str:
        """The rule of the stream, and why it holds for these chunks."""
        return f"{self.why} {self.stream.rule}".strip()


def feeds() -> Iterator[Feed]:
    """Yield each stream as it is; then all again byte by byte, and cut in two at every place."""
    for stream in STREAMS:
        yield Feed(f"parse({show(list(stream.chunks))})", stream.chunks, stream)
    same = "Chunks mean nothing: a stream is the same however it comes."
    for stream in STREAMS:
        single = [bytes([byte]) for byte in stream.wire]
        call = f"parse([bytes([byte]) for byte in {show(stream.wire)}])"
        yield Feed(call, single, stream, same)
    for stream in STREAMS:
        for i in range(len(stream.wire) + 1):
            halves = [stream.wire[:i], stream.wire[i:]]
            yield Feed(f"parse({show(halves)})", halves, stream, same)


def judge_parser(parse: Callable[[Any], Any]) -> str:
    """Feed every stream, in every way, and compare the events with those of the standard."""
    for feed in feeds():
        with calling(feed.call, show(feed.stream.events), feed.rule):
            got = read(feed.call, parse(list(feed.chunks)), feed)
        if got != feed.stream.events:
            raise differs(parse, feed, got)
    stream = STREAMS[0]
    once = Feed(f"parse(iter({show(list(stream.chunks))}))", stream.chunks, stream, ONCE)
    with calling(once.call, show(stream.events), once.rule):
        got = read(once.call, parse(iter(stream.chunks)), once)
    if got != stream.events:
        raise NotYet(once.call, show(got), show(stream.events), once.rule)
    return (
        f"All {len(STREAMS)} streams are read as the standard says: as they come, byte by byte, "
        "and cut in two at every place."
    )


def read(call: str, told: object, feed: Feed) -> list[Any]:
    """Return the events of a parser, whether it returns or yields them."""
    if not isinstance(told, Iterable):
        got = f"{show(told)}, which holds no events"
        raise NotYet(call, got, show(feed.stream.events), "parse returns a list, or yields.")
    events = list(islice(told, MANY))
    for i, event in enumerate(events):
        if not isinstance(event, tuple):
            got = f"event {i + 1} is {show(event)}"
            rule = "An event is a tuple of three strings: its type, its data, the last event ID."
            raise NotYet(call, got, show(feed.stream.events), rule)
    return events


def differs(parse: Callable[[Any], Any], feed: Feed, got: list[Any]) -> NotYet:
    """Return what is wrong with the events: the first that differs, and the byte where that is."""
    over = object()
    pairs = zip([*got, over], [*feed.stream.events, over], strict=False)
    first = next(i for i, (one, other) in enumerate(pairs) if one != other)
    at = caret(feed.stream.wire, place(parse, feed, first, got))
    expected = _event(feed.stream.events, first)
    return NotYet(feed.call, _event(got, first), expected, feed.rule, at)


def _event(events: Sequence[Any], index: int) -> str:
    if index < len(events):
        return f"event {index + 1} is {show(events[index])}"
    return f"no event {index + 1}: {len(events)} in all" if events else "no event"


def place(parse: Callable[[Any], Any], feed: Feed, first: int, got: Sequence[Any]) -> int:
    """Return the byte of the stream at which event number `first` begins to differ."""
    wire, told = feed.stream.wire, got[first : first + 1]
    sizes = range(1, len(wire) + 1)
    # It is done at the byte where the answer has it as in the end, or else where it is expected.
    done = next((n for n in sizes if told and _try(parse, feed, n)[first : first + 1] == told), 0)
    done = done or next((n for n in sizes if len(sse.parse(wire[:n])) > first), len(wire))
    # Back from there, within the block: what comes before would be read right if it ended there.
    while done > _block(wire, done) + 1 and _differ(parse, feed, done - 1):
        done -= 1
    return max(0, done - 1)


def _try(parse: Callable[[Any], Any], feed: Feed, size: int, ending: bytes = b"") -> list[Any]:
    """Return the events of the first bytes; none where the answer raises."""
    chunks = list(_cut(feed.chunks, size))
    chunks[-1:] = [b"".join(chunks[-1:]) + ending]
    try:
        return list(islice(parse(chunks), MANY))
    except Exception:
        return []


def _differ(parse: Callable[[Any], Any], feed: Feed, size: int) -> bool:
    ending = b"\n\ndata: x\n\n"  # ends the event, and shows what it leaves to the next
    expected = sse.parse(feed.stream.wire[:size] + ending)
    return _try(parse, feed, size, ending) != [(one.type, one.data, one.id) for one in expected]


def _block(wire: bytes, size: int) -> int:
    """Return where the block begins in which the last of the first bytes stands."""
    lines = sse.dissect(wire[: size - 1])
    ends = [i for i, line in enumerate(lines) if line.fate in ("dispatch", "blank")]
    return sum(len(line.raw) for line in lines[: ends[-1] + 1]) if ends else 0


def _cut(chunks: Sequence[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk[:size]
        size -= len(chunk)
        if size <= 0:
            return


parser = Short(
    stem="s01_naive",
    name="parser",
    stub="parse",
    minutes=40,
    difficulty="hard",
    judge=judge_parser,
    hints=(
        "Make lines first, and events from the lines afterwards. Both have a state that outlives "
        "a chunk: the bytes of a line that has not ended; the type, the data lines and the id of "
        "an event that has not ended.",
        "Decode each line, and not each chunk: no character of UTF-8 but CR and LF has their "
        "bytes in it. `bytes.splitlines` splits at LF, CR and CRLF only; `str.splitlines` at "
        "eight others as well. `str.partition(':')` takes a line apart, `str.removeprefix(' ')` "
        "removes one space, and `errors='replace'` reads what is broken.",
        "For each line: when it is empty, append (type or 'message', '\\n'.join(data), id) if "
        "there is a data line, then forget type and data, and keep the id. Otherwise "
        "name, _, value = line.partition(':'), and `event`, `data` and `id` each set their own. "
        "An LF that comes first in a chunk, after a CR that came last in the one before, is "
        "dropped; an empty chunk is skipped.",
    ),
    or_else="A function that joins all chunks and then splits the lines is right as well: it gives "
    "the same events, but only when the stream is over. Ours can be made to yield them as they "
    "come: it keeps between two chunks only what a client has to keep.",
)
