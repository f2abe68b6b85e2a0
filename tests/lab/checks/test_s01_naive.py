"""The checks of s01 tell a parser that follows the standard from one that nearly does, and a text
that breaks the naive server from one that does not.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import pytest

from solutions.s01_naive import parse, tokens_that
from stages.lab.checks import of_stage
from stages.lab.checks.s01_naive import attack, parser
from stages.lab.checks.s01_naive.streams import STREAMS
from stages.lab.exercises.outcome import Outcome

Events = list[tuple[str, str, str]]


def test_the_exercises_stand_in_the_order_of_the_notebook() -> None:
    assert of_stage("s01_naive") == [attack, parser]


# The parser.


def test_a_generator_is_right_too() -> None:
    def parse_and_yield(chunks: Iterable[bytes]) -> Iterator[tuple[str, str, str]]:
        yield from parse(chunks)

    outcome = parser.check(parse_and_yield)

    assert outcome.state == "right"
    assert f"All {len(STREAMS)} streams" in outcome.finding


def read_lines(lines: Iterable[str]) -> Events:
    """The events of these lines, as the standard says."""
    events: Events = []
    kind, data, last_id = "", list[str](), ""
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                events.append((kind or "message", "\n".join(data), last_id))
            kind, data = "", []
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif name == "id" and "\0" not in value:
            last_id = value
    return events


def text_of(chunks: Iterable[bytes]) -> str:
    return b"".join(chunks).decode("utf-8-sig", "replace")


def lines_of(chunks: Iterable[bytes]) -> list[str]:
    return re.split("\r\n|\r|\n", text_of(chunks))[:-1]


def as_a_tutorial_has_it(chunks: Iterable[bytes]) -> Events:
    blocks = text_of(chunks).split("\n\n")
    return [("message", block.removeprefix("data: "), "") for block in blocks if block]


def gives_the_unfinished(chunks: Iterable[bytes]) -> Events:
    return read_lines([*lines_of(chunks), ""])


def joins_nothing(chunks: Iterable[bytes]) -> Events:
    events = []
    kind = "message"
    for line in lines_of(chunks):
        if line.startswith("event:"):
            kind = line[6:].strip()
        elif line.startswith("data:"):
            events.append((kind, line[5:].strip(), ""))
    return events


def keeps_the_type(chunks: Iterable[bytes]) -> Events:
    events, kind, data = [], "message", list[str]()
    for line in lines_of(chunks):
        name, _, value = line.partition(":")
        if name == "event":
            kind = value.removeprefix(" ")
        elif name == "data":
            data.append(value.removeprefix(" "))
        elif not line and data:
            events.append((kind, "\n".join(data), ""))
            data = []
    return events


def strips_every_space(chunks: Iterable[bytes]) -> Events:
    return read_lines(re.sub(r"^(\w+): +", r"\1:", line) for line in lines_of(chunks))


def strips_the_line(chunks: Iterable[bytes]) -> Events:
    return read_lines(line.strip() for line in lines_of(chunks))


def splits_at_every_colon(chunks: Iterable[bytes]) -> Events:
    return read_lines(":".join(line.split(":")[:2]) for line in lines_of(chunks))


def needs_a_colon(chunks: Iterable[bytes]) -> Events:
    return read_lines(line for line in lines_of(chunks) if not line or ":" in line)


def looks_at_the_text_for_data(chunks: Iterable[bytes]) -> Events:
    return [event for event in read_lines(lines_of(chunks)) if event[1]]


def forgets_the_id(chunks: Iterable[bytes]) -> Events:
    events = []
    block = list[str]()
    for line in lines_of(chunks):
        block.append(line)
        if not line:
            events += read_lines(block)
            block = []
    return events


def takes_an_id_with_nul(chunks: Iterable[bytes]) -> Events:
    events = read_lines(line.replace("\0", "\ue000") for line in lines_of(chunks))
    return [(kind, data.replace("\ue000", "\0"), last) for kind, data, last in events]


def believes_retry(chunks: Iterable[bytes]) -> Events:
    for line in lines_of(chunks):
        if line.startswith("retry"):
            int(line[6:])
    return read_lines(lines_of(chunks))


def knows_only_lf(chunks: Iterable[bytes]) -> Events:
    return read_lines(text_of(chunks).split("\n")[:-1])


def strips_cr(chunks: Iterable[bytes]) -> Events:
    return read_lines(line.removesuffix("\r") for line in text_of(chunks).split("\n")[:-1])


def splits_as_python_does(chunks: Iterable[bytes]) -> Events:
    text = text_of(chunks)
    return read_lines(text.splitlines()[: None if text.endswith(("\n", "\r")) else -1])


def keeps_the_bom(chunks: Iterable[bytes]) -> Events:
    text = b"".join(chunks).decode("utf-8", "replace")
    return read_lines(re.split("\r\n|\r|\n", text)[:-1])


def removes_every_bom(chunks: Iterable[bytes]) -> Events:
    return read_lines(line.lstrip("\ufeff") for line in keeps_lines(chunks))


def removes_a_late_bom(chunks: Iterable[bytes]) -> Events:
    return parse([b"".join(chunks).lstrip(b"\r\n")])


def keeps_lines(chunks: Iterable[bytes]) -> list[str]:
    return re.split("\r\n|\r|\n", b"".join(chunks).decode("utf-8", "replace"))[:-1]


def is_strict(chunks: Iterable[bytes]) -> Events:
    return read_lines(re.split("\r\n|\r|\n", b"".join(chunks).decode("utf-8-sig"))[:-1])


def reads_each_chunk(chunks: Iterable[bytes]) -> Events:
    return [event for chunk in chunks for event in parse([chunk])]


def normalizes_each_chunk(chunks: Iterable[bytes]) -> Events:
    return parse([with_lf(chunk) for chunk in chunks])


def with_lf(chunk: bytes) -> bytes:
    return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def forgets_cr_at_an_empty_chunk(chunks: Iterable[bytes]) -> Events:
    wire, after_cr = b"", False
    for chunk in chunks:
        wire += with_lf(chunk.removeprefix(b"\n") if after_cr else chunk)
        after_cr = chunk.endswith(b"\r")
    return parse([wire])


def drops_every_lf_after_cr(chunks: Iterable[bytes]) -> Events:
    wire, after_cr = b"", False
    for chunk in chunks:
        fresh = chunk.lstrip(b"\n") if after_cr else chunk
        after_cr = chunk.endswith(b"\r") or (after_cr and not fresh)
        wire += with_lf(fresh)
    return parse([wire])


def decodes_each_chunk(chunks: Iterable[bytes]) -> Events:
    return parse([chunk.decode("utf-8", "replace").encode() for chunk in chunks])


def takes_the_bom_of_the_first_chunk(chunks: Iterable[bytes]) -> Events:
    first, *others = [*chunks] or [b""]
    wire = b"".join([first.removeprefix(b"\xef\xbb\xbf"), *others])
    return parse([b":\n" + wire])


def counts_the_chunks(chunks: list[bytes]) -> Events:
    return parse(chunks[i] for i in range(len(chunks)))


def gives_an_event_for_nothing(chunks: Iterable[bytes]) -> Events:
    given = list(chunks)
    return parse(given) if given else [("message", "", "")]


def gives_bytes(chunks: Iterable[bytes]) -> Any:
    return [(kind, data.encode(), last) for kind, data, last in parse(chunks)]


def gives_nothing(chunks: Iterable[bytes]) -> None:
    print(parse(chunks))


def gives_objects(chunks: Iterable[bytes]) -> list[object]:
    return [object() for _ in parse(chunks)]


def never_ends(chunks: Iterable[bytes]) -> Iterator[tuple[str, str, str]]:
    while True:
        yield from parse(chunks) or [("message", "", "")]


WRONG_PARSERS: list[tuple[Callable[..., Any], list[str]]] = [
    (as_a_tutorial_has_it, ["event 2 is", "it\\ndata: has two lines.", "joined with a line feed"]),
    (joins_nothing, ["event 2 is", "('message', 'This is the second message, it', '')"]),
    (gives_the_unfinished, ["event 2 is ('message', 'b', '')", "no event 2: 1 in all", "is lost"]),
    (keeps_the_type, ["event 2 is ('a', 'c', '')", "this one event"]),
    (strips_every_space, ["event 1 is ('message', 'a ', '')", "' a '", "one, and nothing else"]),
    (strips_the_line, ["event 1 is ('message', 'b\\nd'", "compared literally"]),
    (splits_at_every_colon, ["('message', 'a', '')", "'a: b:c'", "The first colon"]),
    (needs_a_colon, ["'a\\nb'", "'a\\n\\nb'", "without a colon"]),
    (looks_at_the_text_for_data, ["no event", "with an empty one there is"]),
    (forgets_the_id, ["('message', 'b', '')", "('message', 'b', '1')", "stays until another"]),
    (takes_an_id_with_nul, ["'2\\ue000'", "with a NUL in it is ignored"]),
    (believes_retry, ["ValueError", "line ", "int(line[6:])", "not all ASCII digits"]),
    (knows_only_lf, ["no event", "parse([b'event: a\\r\\n", "CR and CRLF each end a line"]),
    (strips_cr, ["no event", "parse([b'event: a\\rdata", "CR and CRLF each end a line"]),
    (splits_as_python_does, ["'a'", "\\u2028b", "nothing else does"]),
    (keeps_the_bom, ["no event", "\\xef\\xbb\\xbfdata: a", "One byte order mark"]),
    (removes_every_bom, ["'a'", "event 1 is ('message', 'b', '')", "and no other"]),
    (removes_a_late_bom, ["parse([b'\\n\\xef\\xbb\\xbfdata: a", "and no other"]),
    (is_strict, ["UnicodeDecodeError", "line ", "becomes U+FFFD"]),
    (reads_each_chunk, ["[b'data: a', b'b\\n', b'', b'\\ndata: c", "goes on in the next one"]),
    (normalizes_each_chunk, ["[b'data: a\\r', b'\\ndata: b", "also in two chunks"]),
    (forgets_cr_at_an_empty_chunk, ["[b'data: a\\r', b'', b'\\ndata: b", "also in two chunks"]),
    (drops_every_lf_after_cr, ["[b'data: a\\r', b'\\n', b'\\ndata: b", "Only one LF"]),
    (decodes_each_chunk, ["'\ufffd\ufffd\ufffd'", "may come in pieces"]),
    (takes_the_bom_of_the_first_chunk, ["[b'\\xef', b'\\xbb'", "One byte order mark"]),
    (counts_the_chunks, ["parse(iter([", "TypeError", "only once"]),
    (gives_an_event_for_nothing, ["parse([])", "no event", "^ the end", "without a byte"]),
    (gives_bytes, ["('message', b'This is the first message.', '')"]),
    (gives_nothing, ["None, which holds no events", "returns a list, or yields"]),
    (gives_objects, ["event 1 is <object object>"]),
    (never_ends, ["event 4 is", "no event 4: 3 in all"]),
]


@pytest.mark.parametrize(
    ("wrong", "words"), WRONG_PARSERS, ids=lambda it: getattr(it, "__name__", "")
)
def test_a_parser_that_is_nearly_right_is_told_what_is_wrong(
    wrong: Callable[..., Any], words: list[str]
) -> None:
    assert_not_yet(checked(wrong), words)


@cache
def checked(wrong: Callable[..., Any]) -> Outcome:
    return parser.check(wrong)


def test_each_wrong_parser_gets_a_message_of_its_own() -> None:
    told = [checked(wrong).lines for wrong, _ in WRONG_PARSERS]

    assert len({json.dumps(lines) for lines in told}) == len(told)


def test_the_caret_stands_under_the_byte_at_which_the_events_begin_to_differ() -> None:
    outcome = checked(splits_as_python_does)

    wire, caret = dict(outcome.lines)["at"].split("\n")
    assert caret.endswith("^ byte 9")  # the last one of U+2028
    assert wire[: caret.index("^")] == r"b'data: a\xe2\x80"


# The attack.


def test_other_attacks_are_right_too() -> None:
    def others(goal: str) -> list[str]:
        return {
            "lose text": ["a\rb"],
            "end early": ["a\n\ndata: [DONE]\n\ndata: b"],
            "forge an event": ["x\revent: error"],
            "cut the connection": ["\udc00"],
        }[goal]

    outcome = attack.check(others)

    assert outcome.state == "right"
    assert "All 4 attacks work" in outcome.finding


def instead(goal: str, *tokens: Any) -> Callable[[str], Any]:
    """Our attack, but for one goal."""

    def attempt(asked: str) -> Any:
        return list(tokens) if asked == goal else tokens_that(asked)

    return attempt


def gives_one_string(goal: str) -> Any:
    return "".join(tokens_that(goal))


def knows_one_goal(goal: str) -> list[str]:
    return {"lose text": ["a\nb"]}[goal]


def leaves_the_rest_out(goal: str) -> list[str] | None:
    return tokens_that(goal) if goal == "lose text" else None


WRONG_ATTACKS: dict[str, tuple[Callable[[str], Any], list[str]]] = {
    "one string": (gives_one_string, ["'one\\ntwo\\nthree'", "a list of strings"]),
    "one goal": (knows_one_goal, ["KeyError: 'end early'", "line "]),
    "None": (leaves_the_rest_out, ["tokens_that('end early')", "None", "a list of strings"]),
    "bytes": (instead("lose text", b"a"), ["[b'a']", "a list of strings"]),
    "harmless": (
        instead("lose text", "a: ", " b\u2028c"),
        ["the client reads 'a:  b\\u2028c', then a normal end", "b'data: a: \\n'"],
    ),
    "the end as a loss": (
        instead("lose text", "a", "[DONE]", "b"),
        ["reads 'a', then an end that the model wrote", "the one end that the server sends"],
    ),
    "a cut as a loss": (
        instead("lose text", "a", "\ud83d"),
        ["then no normal end", "the connection is cut"],
    ),
    "the end as a part": (
        instead("end early", "send [DONE] now", "b"),
        ["reads 'send [DONE] nowb', then a normal end", "a token comes after it"],
    ),
    "the end as the last": (
        instead("end early", "a", "[DONE]"),
        ["reads 'a', then an end that the model wrote", "a token comes after it"],
    ),
    "no line of its own": (
        instead("forge an event", "event: error"),
        ["reads 'event: error', then a normal end", "b'data: event: error\\n'"],
    ),
    "no data": (
        instead("forge an event", "x\n\nevent: error\n\n"),
        ["other than 'message'", "b'event: error\\n'", "  event", "  blank"],
    ),
    "a control character": (
        instead("cut the connection", "\0\x1b\uffff"),
        ["then a normal end", "to encode one raises", "the body ends"],
    ),
}


@pytest.mark.parametrize(("wrong", "words"), WRONG_ATTACKS.values(), ids=WRONG_ATTACKS)
def test_an_attack_that_fails_is_told_what_the_client_reads(
    wrong: Callable[[str], Any], words: list[str]
) -> None:
    assert_not_yet(attack.check(wrong), words)


# Both.


def assert_not_yet(outcome: Outcome, words: list[str]) -> None:
    assert outcome.state == "not yet"
    assert [word for word in words if word not in repr(outcome)] == []


def test_the_solutions_are_shown_with_what_they_need() -> None:
    assert "def parse(chunks" in repr(parser.solution())
    assert "def lines_of(chunks" in repr(parser.solution())
    assert "def tokens_that(goal" in repr(attack.solution())
