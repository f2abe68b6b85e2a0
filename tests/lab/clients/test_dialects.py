"""A dialect asks as its server wants, and reads what comes as a client of that server does.

Whatever comes is read: an instrument does not fail on what it measures.
"""

import json

import pytest

from stages.lab.clients.dialects import DIALECTS, Said, Told, in_words, read
from stages.lab.clients.sse import Event, parse

STAGES, PLAIN, ESCAPED = DIALECTS["stages"], DIALECTS["plain"], DIALECTS["escaped"]


def token(text: str) -> Said:
    return Said("token", text)


DONE = Said("done", {})
ERROR = Said("error", {})


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_asks_with_one_user_message(name: str) -> None:
    body = DIALECTS[name].ask('say "\u00e9"\n')

    assert json.loads(body) == {"messages": [{"role": "user", "content": 'say "\u00e9"\n'}]}


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_is_found_by_its_name(name: str) -> None:
    assert DIALECTS[name].name == name


# Stages: named events with one JSON object each.


def test_an_answer_of_the_stages_is_read() -> None:
    wire = (
        b'event: token\r\ndata: {"index": 0, "text": "a\\n"}\r\n\r\n'
        b": ping\r\n\r\n"
        b'event: token\r\ndata: {"index": 1, "text": ""}\r\n\r\n'
        b'event: done\r\ndata: {"finish_reason": "stop", "usage": null}\r\n\r\n'
    )

    told = read(STAGES, parse(wire))

    done = Said("done", {"finish_reason": "stop", "usage": None})
    assert told == Told((token("a\n"), token(""), done))


def test_an_error_of_the_stages_is_its_document() -> None:
    event = Event("error", '{"code": "upstream_failed"}')

    assert STAGES.understand(event) == Said("error", {"code": "upstream_failed"})


@pytest.mark.parametrize(
    "event",
    [
        Event("token", "Hello"),
        Event("token", ""),
        Event("token", "null"),
        Event("token", '"Hello"'),
        Event("token", '["text"]'),
        Event("token", "{}"),
        Event("token", '{"text": null}'),
        Event("token", '{"text": 7}'),
        Event("token", "[" * 100_000),
        Event("token", "9" * 10_000),
        Event("done", "null"),
        Event("done", "[DONE]"),
        Event("done", "[]"),
        Event("error", '"failed"'),
        Event("message", '{"text": "Hello"}'),
        Event("Token", '{"text": "Hello"}'),
        Event("ping", "{}"),
    ],
    ids=lambda event: f"{event.type} {event.data[:20]}",
)
def test_what_is_no_event_of_the_stages_is_unreadable(event: Event) -> None:
    assert STAGES.understand(event) == Said("unreadable", event.data)


# Plain: the text itself.


def test_a_plain_answer_is_read() -> None:
    wire = b"data: Hello\n\ndata:  wor\n\ndata: [DONE]\n\n"

    assert read(PLAIN, parse(wire)) == Told((token("Hello"), token(" wor"), DONE))


def test_plain_takes_json_as_text() -> None:
    assert PLAIN.understand(Event(data='{"text": "a"}')) == token('{"text": "a"}')


def test_plain_hears_a_named_event_as_its_client_would() -> None:
    assert PLAIN.understand(Event("error", '{"code": "forged"}')) == Said(
        "error", {"code": "forged"}
    )


# Escaped: the text with its line feeds as two characters.


def test_escaped_has_its_line_feeds_back() -> None:
    assert ESCAPED.understand(Event("token", r"a\nb")) == token("a\nb")


def test_escaped_ends_as_the_stages_do() -> None:
    assert ESCAPED.understand(Event("done", "{}")) == DONE


# What a client was told.


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ((), ""),
        ((token("a"), token("b")), "ab"),
        ((token("a"), DONE, token("b")), "a"),
        ((token("a"), ERROR, token("b")), "a"),
        ((token("a"), Said("unreadable", "x"), token("b")), "ab"),
    ],
)
def test_the_text_is_that_of_the_tokens_up_to_the_first_end(
    said: tuple[Said, ...], text: str
) -> None:
    assert Told(said).text == text


def test_the_ends_are_every_done_and_error() -> None:
    assert Told((token("a"), ERROR, DONE, token("b"), DONE)).ends == (ERROR, DONE, DONE)


def test_the_kinds_have_a_run_of_tokens_as_one() -> None:
    said = (token("a"), token("b"), DONE, DONE, token("c"), Said("unreadable", "x"))

    assert Told(said).kinds == ("token", "done", "done", "token", "unreadable")


def test_in_words_the_first_unreadable_event_shows_its_data() -> None:
    said = [Said("token", "a"), Said("unreadable", '{"text": null}'), Said("done", {})]

    assert in_words(Told((*said, said[1]))) == (
        'token, unreadable ({"text": null}), done, unreadable'
    )


def test_in_words_no_event_is_nothing() -> None:
    assert in_words(Told(())) == "nothing"
