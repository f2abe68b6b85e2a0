"""`sse` reads every event stream as the HTML standard says, however its bytes arrive.

It also says, line by line, what a client makes of the wire.

The standard: HTML, 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event stream",
https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

import json
from typing import get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stages.lab.clients.sse import RETRY_DIGITS, Comment, Event, Fate, Line, Parser, dissect, parse

BOM = b"\xef\xbb\xbf"

# No deadline and no health check of the speed: a busy machine is no mistake of the parser.
# Derandomized: the same examples on every machine, so a failure is never a matter of luck.
thorough = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    max_examples=300,
)


# The standard's own examples. An empty comment keeps the formatter from joining short lines.


def test_the_three_messages_of_the_introduction() -> None:
    wire = (
        b"data: This is the first message.\n"
        b"\n"
        b"data: This is the second message, it\n"
        b"data: has two lines.\n"
        b"\n"
        b"data: This is the third message.\n"
        b"\n"
    )

    assert parse(wire) == [
        Event(data="This is the first message."),
        Event(data="This is the second message, it\nhas two lines."),
        Event(data="This is the third message."),
    ]


def test_the_add_and_remove_events_of_the_introduction() -> None:
    wire = (
        b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n"
    )

    assert parse(wire) == [
        Event(type="add", data="73857293"),
        Event(type="remove", data="2153"),
        Event(type="add", data="113411"),
    ]


def test_the_stock_ticker_example() -> None:
    wire = (
        b"data: YHOO\n"  #
        b"data: +2\n"
        b"data: 10\n"
        b"\n"
    )

    assert parse(wire) == [Event(data="YHOO\n+2\n10")]


FOUR_BLOCKS = (
    b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
)


def test_the_example_of_four_blocks() -> None:
    assert Parser().feed(FOUR_BLOCKS) == [
        Comment(" test stream"),
        Event(data="first event", id="1"),
        Event(data="second event", id=""),
        Event(data=" third event", id=""),
    ]


def test_the_end_of_the_stream_is_not_enough_for_the_last_of_the_four_blocks() -> None:
    wire = FOUR_BLOCKS.removesuffix(b"\n")

    assert [event.data for event in parse(wire)] == ["first event", "second event"]


def test_the_example_of_empty_data_fires_two_events_and_discards_the_last_block() -> None:
    wire = (
        b"data\n"  #
        b"\n"
        b"data\n"
        b"data\n"
        b"\n"
        b"data:"
    )

    assert parse(wire) == [Event(data=""), Event(data="\n")]


def test_the_example_of_two_identical_events() -> None:
    wire = (
        b"data:test\n"  #
        b"\n"
        b"data: test\n"
        b"\n"
    )

    assert parse(wire) == [Event(data="test"), Event(data="test")]


# How lines end.


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lf_cr_and_crlf_each_end_a_line(end: bytes) -> None:
    wire = b"event: a" + end + b"data: b" + end + end

    assert parse(wire) == [Event(type="a", data="b")]


def test_lf_then_cr_are_two_line_ends() -> None:
    assert parse(b"data: a\n\rdata: b\n\r") == [Event(data="a"), Event(data="b")]


def test_no_other_byte_ends_a_line() -> None:
    enders = [
        byte
        for byte in range(256)
        if parse(b"data: a" + bytes([byte]) + b"data: b\n\n") == [Event(data="a\nb")]
    ]

    assert enders == [0x0A, 0x0D]


@pytest.mark.parametrize("character", list("\v\f\x1c\x1d\x1e\x85\u2028\u2029"))
def test_no_other_character_which_python_splits_at_ends_a_line(character: str) -> None:
    text = f"a{character}b"

    assert len(text.splitlines()) == 2  # the trap is real
    assert parse(f"data: {text}\n\n".encode()) == [Event(data=text)]


def test_a_cr_at_the_end_of_a_chunk_dispatches_at_once() -> None:
    assert Parser().feed(b"data: a\r\n\r") == [Event(data="a")]


def test_the_lf_of_a_crlf_that_is_split_is_no_blank_line() -> None:
    parser = Parser()

    assert parser.feed(b"event: a\r") == []
    assert parser.feed(b"\ndata: b\n\n") == [Event(type="a", data="b")]


def test_an_empty_chunk_does_not_separate_cr_from_lf() -> None:
    parser = Parser()

    assert parser.feed(b"event: a\r") == []
    assert parser.feed(b"") == []
    assert parser.feed(b"\ndata: b\n\n") == [Event(type="a", data="b")]


def test_only_one_lf_belongs_to_a_cr() -> None:
    parser = Parser()

    assert parser.feed(b"data: a\r") == []
    assert parser.feed(b"\n") == []
    assert parser.feed(b"\n") == [Event(data="a")]


def test_bytes_without_a_line_end_complete_nothing() -> None:
    assert Parser().feed(b": ping") == []


# How bytes become text.


def test_one_bom_at_the_start_is_no_part_of_the_first_field_name() -> None:
    assert parse(BOM + b"data: a\n\n") == [Event(data="a")]


def test_a_second_bom_is_part_of_the_first_field_name() -> None:
    assert parse(BOM + BOM + b"data: a\n\ndata: b\n\n") == [Event(data="b")]


def test_a_bom_after_the_first_line_is_part_of_a_field_name() -> None:
    assert parse(b"\n" + BOM + b"data: a\n\ndata: b\n\n") == [Event(data="b")]


def test_a_bom_inside_data_is_text() -> None:
    assert parse(b"data: " + BOM + b"a\n\n") == [Event(data="\ufeffa")]


def test_a_character_may_arrive_in_pieces() -> None:
    parser = Parser()

    assert parser.feed(b"data: \xf0\x9f") == []
    assert parser.feed(b"\x98\x80\n\n") == [Event(data="\N{GRINNING FACE}")]


# The counts follow "UTF-8 decoder" in the Encoding standard: one U+FFFD for the longest start of a
# character, one for each byte that can start none. https://encoding.spec.whatwg.org/#utf-8-decoder
@pytest.mark.parametrize(
    ("malformed", "count"),
    [
        (b"\xff", 1),  # no character contains it
        (b"\x80", 1),  # continues nothing
        (b"\xe2\x80", 1),  # cut short
        (b"\xf0\x9f\x98", 1),  # cut short
        (b"\xc0\xaf", 2),  # longer than needed
        (b"\xed\xa0\xbd", 3),  # a surrogate
        (b"\xf4\x90\x80\x80", 4),  # beyond U+10FFFF
    ],
)
def test_malformed_bytes_become_replacement_characters(malformed: bytes, count: int) -> None:
    assert parse(b"data: a" + malformed + b"b\n\n") == [Event(data="a" + "\ufffd" * count + "b")]


def test_a_character_cut_short_does_not_swallow_the_line_end() -> None:
    assert parse(b"data: \xe2\x80\n\n") == [Event(data="\ufffd")]


# How lines become fields.


def test_exactly_one_space_after_the_colon_is_removed() -> None:
    assert parse(b"data:  a \n\n") == [Event(data=" a ")]


def test_a_tab_after_the_colon_stays() -> None:
    assert parse(b"data:\ta\n\n") == [Event(data="\ta")]


def test_only_the_first_colon_ends_the_field_name() -> None:
    assert parse(b"data: a: b:c\n\n") == [Event(data="a: b:c")]


def test_a_line_without_a_colon_is_a_field_with_an_empty_value() -> None:
    assert parse(b"event: a\nevent\ndata: b\n\n") == [Event(type="message", data="b")]


@pytest.mark.parametrize("name", [b"Data", b" data", b"data ", b"dat", b"[DONE]"])
def test_a_field_name_is_taken_literally(name: bytes) -> None:
    assert parse(name + b": a\n\n") == []


def test_the_last_event_field_of_a_block_counts() -> None:
    assert parse(b"event: a\nevent: b\ndata: c\n\n") == [Event(type="b", data="c")]


def test_every_comment_is_reported_with_all_that_follows_its_colon() -> None:
    items = Parser().feed(b": ping\n:\n::a\n")

    assert items == [Comment(" ping"), Comment(""), Comment(":a")]


def test_a_comment_inside_a_block_leaves_the_event_alone() -> None:
    items = Parser().feed(b"data: a\n: ping\ndata: b\n\n")

    assert items == [Comment(" ping"), Event(data="a\nb")]


# How blocks become events.


def test_without_data_nothing_is_dispatched() -> None:
    assert parse(b"\n\nevent: a\n\nid: 1\n\nretry: 5\n\n") == []


def test_a_block_without_data_does_not_pass_its_type_on() -> None:
    assert parse(b"event: a\n\ndata: b\n\n") == [Event(type="message", data="b")]


def test_an_event_does_not_pass_its_type_on() -> None:
    assert parse(b"event: a\ndata: b\n\ndata: c\n\n")[1] == Event(type="message", data="c")


def test_an_event_does_not_pass_its_data_on() -> None:
    assert parse(b"data: a\n\ndata: b\n\n")[1] == Event(data="b")


def test_only_the_last_lf_of_the_data_is_removed() -> None:
    assert parse(b"data: a\ndata:\ndata:\n\n") == [Event(data="a\n\n")]


# What outlives an event.


def test_an_id_stays_until_the_server_sets_another() -> None:
    assert [event.id for event in parse(b"id: 1\ndata\n\ndata\n\nid: 2\ndata\n\n")] == [
        "1",
        "1",
        "2",
    ]


def test_a_blank_line_without_data_sets_the_last_event_id_too() -> None:
    parser = Parser()
    parser.feed(b"id: 1\n\n")

    assert parser.last_event_id == "1"


def test_the_id_of_an_unfinished_event_is_not_the_last_event_id() -> None:
    parser = Parser()
    parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")

    assert parser.last_event_id == "1"


def test_an_id_which_contains_nul_is_ignored() -> None:
    assert parse(b"id: 1\nid: 2\0\ndata: a\n\n") == [Event(data="a", id="1")]


def test_nul_elsewhere_is_text() -> None:
    assert parse(b"event: \0\ndata: \0\n\n") == [Event(type="\0", data="\0")]


def test_retry_takes_effect_without_a_blank_line() -> None:
    parser = Parser()
    parser.feed(b"retry: 3000\n")

    assert parser.retry_ms == 3000


def test_retry_is_not_known_before_the_server_sends_it() -> None:
    assert Parser().retry_ms is None


@pytest.mark.parametrize(
    "value", ["", "-1", "+1", "1.5", "1e3", "1_000", "1 ", " 1", "1000x", "²", "٣"]
)
def test_retry_takes_nothing_but_ascii_digits(value: str) -> None:
    parser = Parser()
    parser.feed(f"retry: 2000\nretry: {value}\n".encode())

    assert parser.retry_ms == 2000


def test_retry_is_decimal_even_with_a_leading_zero() -> None:
    parser = Parser()
    parser.feed(b"retry: 010\n")

    assert parser.retry_ms == 10


def test_a_retry_of_as_many_digits_as_int_surely_takes_counts() -> None:
    parser = Parser()
    parser.feed(b"retry: " + b"9" * RETRY_DIGITS + b"\n")

    assert parser.retry_ms == 10**RETRY_DIGITS - 1


@pytest.mark.parametrize("digits", [RETRY_DIGITS + 1, 100_000])
def test_a_retry_too_long_for_int_is_ignored(digits: int) -> None:
    parser = Parser()
    parser.feed(b"retry: 2000\nretry: " + b"9" * digits + b"\n")

    assert parser.retry_ms == 2000


# What becomes of every line.

EVERY_FATE: list[Line] = [
    Line(BOM + b": hello\n", "comment"),
    Line(b"\r\n", "blank"),
    Line(b"event: token\r", "event"),
    Line(b"id: 1\n", "id"),
    Line(b"data: a\r\n", "data"),
    Line(b"- item\n", "unknown field"),
    Line(b"\r", "dispatch"),
    Line(b"id: \0\n", "ignored value"),
    Line(b"retry: soon\n", "ignored value"),
    Line(b"id: 2\n", "unfinished"),
    Line(b"retry: 3000\n", "retry"),
    Line(b"event: token\n", "unfinished"),
    Line(b": ping\n", "comment"),
    Line(b"data: b\n", "unfinished"),
    Line(b"- item\n", "unknown field"),
    Line(b": pi", "unfinished"),
]


def test_every_line_gets_its_fate() -> None:
    assert dissect(b"".join(line.raw for line in EVERY_FATE)) == EVERY_FATE


def test_the_example_above_has_every_fate() -> None:
    assert {line.fate for line in EVERY_FATE} == set(get_args(Fate))


def test_a_newline_inside_a_token_does_visible_damage() -> None:
    wire = b"data: - one\n- two\n\n"

    assert [line.fate for line in dissect(wire)] == ["data", "unknown field", "dispatch"]


def test_an_event_without_data_ends_in_a_blank() -> None:
    assert [line.fate for line in dissect(b"event: done\n\n")] == ["event", "blank"]


def test_a_finished_stream_has_nothing_unfinished() -> None:
    assert "unfinished" not in [line.fate for line in dissect(FOUR_BLOCKS)]


# A second reading of the standard: whole streams only, text only, one sentence after the other.


def reference(stream: bytes) -> tuple[list[Event | Comment], str, int | None]:
    """The items of a whole stream, the last event ID and the reconnection time at its end."""
    # "Streams must be decoded using the UTF-8 decode algorithm", which strips one BOM.
    if stream[:3] == BOM:
        stream = stream[3:]
    text = stream.decode("utf-8", "replace")

    # "reading everything line by line, with a CRLF character pair, a single LF character not
    # preceded by a CR character, and a single CR character not followed by an LF character being
    # the ways in which a line can end"
    lines = []
    line = ""
    for i, character in enumerate(text):
        if character == "\n" and i > 0 and text[i - 1] == "\r":
            continue
        if character in ("\r", "\n"):
            lines.append(line)
            line = ""
        else:
            line = line + character
    # "Once the end of the file is reached, any pending data must be discarded."

    items: list[Event | Comment] = []
    data_buffer = event_type_buffer = last_event_id_buffer = ""
    last_event_id, reconnection_time = "", None
    for line in lines:
        if line == "":
            # "dispatch the event"
            last_event_id = last_event_id_buffer
            if data_buffer == "":
                event_type_buffer = ""
                continue
            if data_buffer[-1] == "\n":
                data_buffer = data_buffer[:-1]
            kind = "message"
            if event_type_buffer != "":
                kind = event_type_buffer
            items.append(Event(kind, data_buffer, last_event_id))
            data_buffer = event_type_buffer = ""
            continue
        if line[0] == ":":
            # "Ignore the line."; the lab wants to see it
            items.append(Comment(line[1:]))
            continue
        if ":" in line:
            colon = line.index(":")
            field, value = line[:colon], line[colon + 1 :]
            if value[:1] == " ":
                value = value[1:]
        else:
            field, value = line, ""
        # "Field names must be compared literally, with no case folding performed."
        if field == "event":
            event_type_buffer = value
        if field == "data":
            data_buffer = data_buffer + value + "\n"
        if field == "id" and "\0" not in value:
            last_event_id_buffer = value
        if field == "retry" and value != "" and set(value) <= set("0123456789"):
            reconnection_time = int(value)
    return items, last_event_id, reconnection_time


# Streams that are almost right: real fields with small mistakes.
starts = st.sampled_from([b"", b"", BOM, BOM + BOM, BOM[:2]])
names = st.sampled_from([b"data", b"data", b"event", b"id", b"retry", b"", b"Data", BOM + b"data"])
colons = st.sampled_from([b"", b":", b": ", b":  "])
values = st.sampled_from([b"", b"a", b"1", b"25", "²".encode(), b"\0", b"b ", b": c", b"\xe2\x80"])
ends = st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r"])
lines_of_wire = st.lists(st.tuples(names, colons, values, ends).map(b"".join), max_size=12)
almost_right = st.tuples(starts, lines_of_wire.map(b"".join)).map(b"".join)

# Streams that go for the seams: pieces of fields, line ends, whole and broken characters.
PIECES = [
    *[b"\n", b"\r", b"\r\n", b"\n\n", b":", b" ", b"\t", b"\0", b"a", b"1"],
    *[b"data", b"event", b"id", b"retry", b"data: ", b"event: ", b"id: ", b"retry: ", b"Data: "],
    *[BOM, BOM[:1], BOM[1:], b"\x80", b"\xff", b"\xe2\x80", b"\xed\xa0\xbd"],
    *[character.encode() for character in "é²٣\v\f\x1c\x85\u2028\u2029\N{GRINNING FACE}"],
]
pieces = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)
streams = almost_right | pieces | st.binary(max_size=40)


@st.composite
def chunked_streams(draw: st.DrawFn) -> list[bytes]:
    """A stream in chunks; some are empty."""
    stream = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [stream[i:j] for i, j in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def read(chunks: list[bytes]) -> tuple[list[Event | Comment], str, int | None]:
    """The same as `reference`, from the parser."""
    parser = Parser()
    items = [item for chunk in chunks for item in parser.feed(chunk)]
    return items, parser.last_event_id, parser.retry_ms


@given(streams)
@thorough
def test_the_parser_agrees_with_the_prose_of_the_standard(stream: bytes) -> None:
    assert read([stream]) == reference(stream)


@given(chunked_streams())
@example([b"event: a\r", b"", b"\n", b"data: b\r", b"\n\r", b"\n"])
@example([BOM[:1], BOM[1:2], BOM[2:], b"data: a\n\n"])
@thorough
def test_any_chunks_of_a_stream_read_the_same_as_the_whole(chunks: list[bytes]) -> None:
    assert read(chunks) == read([b"".join(chunks)])


@given(streams)
@thorough
def test_a_stream_byte_by_byte_reads_the_same_as_the_whole(stream: bytes) -> None:
    assert read([bytes([byte]) for byte in stream]) == read([stream])


@given(streams)
@thorough
def test_no_item_waits_for_a_byte_after_the_one_that_completes_it(stream: bytes) -> None:
    parser = Parser()
    seen: list[Event | Comment] = []

    for i, byte in enumerate(stream):
        seen += parser.feed(bytes([byte]))
        assert seen == reference(stream[: i + 1])[0]


@given(streams)
@thorough
def test_the_dissected_lines_join_to_the_stream(stream: bytes) -> None:
    assert b"".join(line.raw for line in dissect(stream)) == stream


@given(streams)
@thorough
def test_every_dispatch_is_an_event_and_every_comment_a_comment(stream: bytes) -> None:
    items = reference(stream)[0]

    assert [line.fate for line in dissect(stream) if line.fate in ("dispatch", "comment")] == [
        "dispatch" if isinstance(item, Event) else "comment" for item in items
    ]


@given(streams)
@thorough
def test_without_its_lost_lines_a_stream_reads_the_same(stream: bytes) -> None:
    wire = b":\n" + stream  # a first line that stays, so that no later BOM becomes the first
    lost: set[Fate] = {"unknown field", "ignored value", "unfinished"}

    kept = [line.raw for line in dissect(wire) if line.fate not in lost]
    # One kind of line end: a CR must not meet an LF which was not its neighbour before.
    wire_of_kept = b"".join(raw.rstrip(b"\r\n") + b"\n" for raw in kept)

    assert reference(wire_of_kept) == reference(wire)


@given(streams)
@thorough
def test_a_line_is_unfinished_only_because_the_stream_ends(stream: bytes) -> None:
    before, after = dissect(stream), dissect(stream + b"\n\n")

    for line, finished in zip(before, after, strict=False):
        if line.fate == "unfinished":
            assert finished.fate != "unfinished"
        elif line.raw == finished.raw:
            assert finished.fate == line.fate


# What the stages rely on.

# Every code point, surrogates too: a model's token can end between the halves of a pair.
any_text = st.text(st.characters(exclude_categories=()))


def utf16(text: str) -> bytes:
    """What JSON compares: two halves of a pair are the character they make."""
    return text.encode("utf-16-le", "surrogatepass")


@given(any_text)
@example("\r\n\n\u2028\x85\0[DONE]\ndata: a\n\n")
@example("\ud83d")
@example("\ude00\ud83d")
@thorough
def test_any_text_survives_as_one_line_of_ascii_json(text: str) -> None:
    wire = b"event: token\ndata: " + json.dumps({"text": text}).encode("ascii") + b"\n\n"

    [event] = parse(wire)

    assert utf16(json.loads(event.data)["text"]) == utf16(text)


def test_the_halves_of_a_surrogate_pair_meet_in_json() -> None:
    [event] = parse(b"data: " + json.dumps("\ud83d" + "\ude00").encode("ascii") + b"\n\n")

    assert json.loads(event.data) == "\N{GRINNING FACE}"


@given(st.text().filter(lambda text: "\r" not in text))
@example(" a\n\n b \n")
@thorough
def test_text_without_cr_survives_as_one_data_line_for_each_of_its_lines(text: str) -> None:
    wire = "".join(f"data: {line}\n" for line in text.split("\n")) + "\n"

    assert parse(wire.encode()) == [Event(data=text)]
