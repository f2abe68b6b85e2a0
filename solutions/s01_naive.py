"""Our solutions to the exercises of s01."""

from collections.abc import Iterable, Iterator


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Each line that has ended, without its end."""
    tail, after_cr = b"", False
    for chunk in filter(None, chunks):
        # A CR ends its line at once; the LF that follows it may be in the next chunk.
        fresh = chunk.removeprefix(b"\n") if after_cr else chunk
        after_cr = chunk.endswith(b"\r")
        for piece in fresh.splitlines(keepends=True):
            tail += piece
            if tail.endswith((b"\r", b"\n")):
                yield tail.rstrip(b"\r\n")
                tail = b""


def parse(chunks: Iterable[bytes]) -> list[tuple[str, str, str]]:
    """The events of a stream: type, data, last event ID."""
    events: list[tuple[str, str, str]] = []
    kind, data, last_id, encoding = "", list[str](), "", "utf-8-sig"  # removes one BOM
    for raw in lines_of(chunks):
        line = raw.decode(encoding, errors="replace")
        encoding = "utf-8"
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:  # a list: one empty line of data is an event
                events.append((kind or "message", "\n".join(data), last_id))
            kind, data = "", []
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif name == "id" and "\0" not in value:
            last_id = value
    return events


def tokens_that(goal: str) -> list[str]:
    """Tokens with which a model does this to the naive server."""
    return {
        "lose text": ["one\n", "two\nthree"],
        "end early": ["send ", "[DONE]", " at the end"],
        "forge an event": ['x\n\nevent: error\ndata: {"code": "forged"}\n\n'],
        "cut the connection": ["a\ud83d", "\ude00b"],  # an emoji in two tokens
    }[goal]
