"""`wire` shows every line that a client read, and which of them came to nothing."""

import pytest

from stages.lab.bench.bench import Answer
from stages.lab.clients.client import Ending
from stages.lab.pictures import wire
from tests.helpers.pictures import (
    DONE,
    ERROR,
    PING,
    TOKEN,
    answer,
    clashes,
    client,
    entry,
    labelled,
    plain,
    texts,
)

POEM = plain(b"data: a\n\ndata: \n\n- item\n\ndata: [DONE]\n\n", "a", "\n\n- item")


def fates(of: Answer) -> list[str]:
    """The right column, from top to bottom."""
    picture = wire.draw(of)
    labels = ("data", "event", "id", "retry", "comment", "dispatch", "blank")
    lost = ("unknown field", "ignored value", "unfinished")
    found = [text for label in (*labels, *lost) for text in labelled(picture, label)]
    words = [text for text in found if hasattr(text, "get_text")]
    return [text.get_text() for text in sorted(words, key=lambda text: text.zorder)]


def test_each_line_stands_beside_its_fate() -> None:
    assert fates(POEM) == [
        "data of the event",
        "the client gets 'a'",
        "data of the event",
        "the client gets ''",
        "dropped: unknown field",
        "blank line: ends nothing",
        "data of the event",
        "the client is told: done",
    ]


def test_a_line_that_every_client_drops_is_red_and_has_a_cross() -> None:
    picture = wire.draw(POEM)

    assert len(labelled(picture, "damaged")) == 1
    assert len(labelled(picture, "cross")) == 2 + 2  # two strokes each: the line, and the texts
    assert texts(picture, "title") == ["8 lines on the wire, 1 of them lost"]


@pytest.mark.parametrize(
    ("body", "lost"),
    [
        (b"data: a\n\n", 0),
        (b"data: a\n- item\n\n", 1),
        (b"retry: 1s\n\n", 1),
        (b"data: a\n\n\n", 1),
        (b"data: a\ndata: b\n", 2),
        (b"data: [DONE]\n\ndata: a\n\n", 2),
        (b": ping\n\n", 0),
        (b"event: token\ndata: not JSON\n\n", 1),
    ],
)
def test_every_line_that_comes_to_nothing_is_counted(body: bytes, lost: int) -> None:
    picture = wire.draw(plain(body))

    assert len(labelled(picture, "damaged")) == lost
    assert texts(picture, "title")[0].endswith(f"{lost or 'none'} of them lost")


def test_a_blank_line_of_the_text_is_lost() -> None:
    assert fates(plain(b"data: \n\n\n", "\n"))[-1] == "dropped: no event to end"


def test_a_blank_line_behind_a_comment_is_as_it_should_be() -> None:
    of = answer(client((0.1, PING + TOKEN)), entry((0.1, "token", "Hello")))

    assert fates(of)[:2] == ["comment: no event, keeps the line busy", "blank line: ends nothing"]
    assert labelled(wire.draw(of), "damaged") == []


def test_an_event_that_the_stream_does_not_complete_is_lost() -> None:
    of = answer(client((0.1, TOKEN + b"event: token\ndata: {"), ended="cut"), entry())

    assert fates(of)[-2:] == ["lost: the stream ends before the event"] * 2


def test_a_value_that_is_not_allowed_is_lost() -> None:
    assert fates(plain(b"retry: 1s\nretry: 10\nid: 7\n\n")) == [
        "dropped: value not allowed",
        "reconnection time",
        "id of the event",
        "blank line: ends nothing",
    ]


def test_what_comes_after_the_end_is_not_read() -> None:
    of = answer(client((0.1, TOKEN + ERROR + DONE)), entry())

    assert fates(of)[5:] == [
        "the client is told: error",
        "not read: comes after error",
        "not read: comes after error",
        "not read: comes after error",
    ]


def test_an_event_that_the_client_cannot_read_says_so() -> None:
    assert fates(answer(client((0.1, b"event: token\ndata: oops\n\n")), entry()))[-1] == (
        "lost: the client cannot read it"
    )


def test_a_line_feed_is_a_box_and_a_backslash_and_n_are_not() -> None:
    boxed = texts(wire.draw(plain(b"data: a\n\n")))
    written = texts(wire.draw(plain(b'data: "\\n"')), "wire")

    assert boxed.count("LF") == 2
    assert written[0] == 'data: "\\n"'


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"data: \xff", "0xFF"),
        (b"data: \xe6\x97", "0x97"),
        ("data: \u2028".encode(), "U+2028"),
        ("data: \u65e5".encode(), "U+65E5"),
        (b"data: \0", "NUL"),
        (b"data: a\tb", "TAB"),
        (b"data: a\rb", "CR"),
    ],
)
def test_what_cannot_be_seen_in_print_stands_in_a_box(line: bytes, shown: str) -> None:
    picture = wire.draw(plain(line + b"\n\n"))

    picture.render("png")  # a glyph that the font lacks is a warning, and so an error
    assert shown in texts(picture)


def test_a_letter_of_another_alphabet_is_itself() -> None:
    assert texts(wire.draw(plain("data: é λ ж\n\n".encode())), "wire")[0] == "data: é λ ж"


def test_a_long_line_loses_its_middle() -> None:
    written = texts(wire.draw(plain(b"data: " + b"x" * 1_000_000 + b"end\n\n")), "wire")

    assert written[0].startswith("data: xxx")
    assert "…" in written[0]
    assert written[0].endswith("end")
    assert len(written[0]) < 80


def test_a_long_token_is_shown_from_its_start() -> None:
    (words, _) = fates(plain(b"data: " + b"x" * 1_000_000 + b"end\n\n"))[::-1]

    assert words.startswith("the client gets 'xx")
    assert words.endswith("xend'")


def test_a_long_stream_loses_its_middle_and_keeps_its_end() -> None:
    picture = wire.draw(plain(b"data: a\n\n" * 5000 + b"data: [DONE]\n\n"))

    assert texts(picture, "more") == ["… 9,979 more lines"]
    assert texts(picture, "dispatch")[-1] == "the client is told: done"
    assert len(texts(picture, "dispatch")) == 9 + 3


@pytest.mark.parametrize(
    ("ended", "words", "bad"),
    [
        ("clean", "the end of the answer", False),
        ("cut", "the connection is cut here", True),
        ("reset", "the connection is reset here", True),
        ("malformed", "what comes here is not HTTP", True),
        ("left", "the client leaves here", False),
        (None, "the answer goes on", False),
    ],
)
def test_the_end_is_told_and_a_bad_one_has_a_cross(
    ended: Ending | None, words: str, bad: bool
) -> None:
    picture = wire.draw(answer(client((0.1, TOKEN), ended=ended), entry((0.1, "token", "Hello"))))

    assert texts(picture, "ending") == [words]
    assert bool(labelled(picture, "cross")) is bad


def test_the_text_that_was_lost_stands_on_red() -> None:
    picture = wire.draw(POEM)

    assert texts(picture, "wire")[-2:] == ["- item", "a"]
    assert len(labelled(picture, "texts differ")) == len(labelled(picture, "difference")) == 1
    assert picture.alt.endswith("; the client read another text.")


def test_the_same_text_has_a_check() -> None:
    picture = wire.draw(answer(client((0.1, TOKEN + DONE)), entry((0.1, "token", "Hello"))))

    assert len(labelled(picture, "check")) == 1
    assert labelled(picture, "difference") == []
    assert picture.alt.endswith("; the client read the text as sent.")


def test_where_the_ledger_does_not_have_the_text_nothing_is_compared() -> None:
    picture = wire.draw(answer(client((0.1, TOKEN)), entry((0.1, "token", "Hello"), tokens=100)))

    assert texts(picture, "text sent") == ["not known: the ledger keeps the first steps only"]
    assert labelled(picture, "check") == labelled(picture, "cross") == []
    assert labelled(picture, "texts differ") == []


def test_a_client_that_read_nothing_got_no_text() -> None:
    picture = wire.draw(answer(client(ended="cut"), entry((0.1, "token", "Hello"))))

    assert texts(picture, "title") == ["Nothing came over the wire"]
    assert texts(picture, "text read") == ["none"]


def test_a_refusal_is_no_event_stream() -> None:
    picture = wire.draw(answer(client((0.1, b'{"code": "upstream_busy"}'), status=429)))

    assert texts(picture, "title") == ["No event stream: status 429"]
    assert texts(picture, "unfinished") == ["a line of the body"]
    assert picture.alt == "No event stream: status 429."


def test_a_server_that_says_nothing_has_no_status() -> None:
    assert wire.draw(answer(client(status=None, ended="reset"))).alt == "No answer came."


ODD = "\u2028x\u0085 \0 [DONE] data: y \U0001f600 日本 é cost $5 and $6 \\ _^{ " + "y" * 5000


@pytest.mark.parametrize(
    "of",
    [
        POEM,
        plain(f"data: {ODD}\n\nid: \0\n".encode(), ODD, "\ud83d", ended="cut"),
        answer(client((0.1, TOKEN * 40 + ERROR), ended="reset"), entry()),
        answer(client((0.1, b'{"code": "x"}'), status=502)),
        answer(client(ended=None, status=None)),
    ],
    ids=["poem", "odd", "long", "refusal", "nothing"],
)
def test_whatever_came_no_text_lies_over_another_or_is_cut_off(of: Answer) -> None:
    picture = wire.draw(of)

    picture.render("png")
    assert clashes(picture) == []
