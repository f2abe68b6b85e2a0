"""A timeline has what client and upstream saw, in order of time and in words that never change."""

from typing import get_args

import pytest

from stages.lab.bench.timeline import (
    ENDINGS,
    NAMES,
    Asked,
    ClientEnds,
    Closed,
    Heard,
    Status,
    in_text,
    walk,
)
from stages.lab.bench.verdict import Moment, Timeline
from stages.lab.clients.client import Client, Ending
from stages.lab.clients.dialects import DIALECTS, Said, read
from stages.lab.clients.sse import Comment, Event
from stages.lab.upstream.ledger import Entry, Sent, SentKind


def text_of(client: Client, entry: Entry | None) -> Timeline:
    told = read(DIALECTS["stages"], client.events)
    return in_text(walk(client, told, entry))


def client_that_saw(**seen: object) -> Client:
    client = Client("http://127.0.0.1:1/chat", b"")
    client.sent_s, client.status, client.headers_s = 100.0, 200, 100.1
    for name, value in seen.items():
        setattr(client, name, value)
    return client


def test_a_timeline_has_both_sides_in_order_of_time() -> None:
    items = [(100.3, Event("token", '{"text": "a"}')), (100.5, Comment(" ping"))]
    client = client_that_saw(items=items, ended="left", ended_s=100.6)
    entry = Entry(
        0, None, {}, received_s=100.05, sent=[Sent(100.2, "token", "a")], left="fin", left_s=100.7
    )

    timeline = text_of(client, entry)

    assert [(round(moment.at_s, 3), moment.who, moment.what) for moment in timeline] == [
        (0.0, "client", "sends the request"),
        (0.05, "upstream", "request"),
        (0.1, "client", "status 200"),
        (0.2, "upstream", "sends 'a'"),
        (0.3, "client", 'token {"text": "a"}'),
        (0.5, "client", ": ping"),
        (0.6, "client", "leaves"),
        (0.7, "upstream", "sees fin"),
    ]


@pytest.mark.parametrize(
    ("ended", "what"),
    [
        ("clean", "end of the answer"),
        ("cut", "connection closed before the end"),
        ("reset", "connection reset before the end"),
        ("malformed", "what comes is not HTTP"),
        ("left", "leaves"),
    ],
)
def test_a_timeline_says_how_it_ended(ended: str, what: str) -> None:
    client = client_that_saw(ended=ended, ended_s=101.0)

    assert text_of(client, None)[-1] == Moment(1.0, "client", what)


def test_a_megabyte_is_short_in_a_timeline() -> None:
    client = client_that_saw(items=[(100.2, Event("token", "x" * 1_000_000))])
    entry = Entry(0, None, {}, received_s=100.3, sent=[Sent(100.4, "token", "x" * 1_000_000)])

    timeline = text_of(client, entry)

    assert max(len(moment.what) for moment in timeline) < 200
    assert timeline[2].what.startswith("token xxx")


def test_a_walk_has_what_the_client_heard_beside_what_that_says() -> None:
    event, ping = Event("token", '{"text": "a"}'), Comment(" ping")
    items = [(100.2, ping), (100.3, event)]
    client = client_that_saw(items=items, ended="left", ended_s=100.6)
    step = Sent(100.25, "token", "a")
    entry = Entry(0, None, {}, received_s=100.05, sent=[step], left="rst", left_s=100.7)

    seen = walk(client, read(DIALECTS["stages"], client.events), entry)

    assert [(one.who, one.what) for one in seen] == [
        ("client", Asked()),
        ("upstream", Asked()),
        ("client", Status(200)),
        ("client", ping),
        ("upstream", step),
        ("client", Heard(event, Said("token", "a"))),
        ("client", ClientEnds("left")),
        ("upstream", Closed("rst")),
    ]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Sent(100.2, "headers"), "sends headers"),
        (Sent(100.2, "role"), "sends Role"),
        (Sent(100.2, "token", "it's"), 'sends "it\'s"'),
        (Sent(100.2, "burst", "0 to 63"), "sends tokens 0 to 63"),
        (Sent(100.2, "raw", ":\n"), r"sends ':\n'"),
        (Sent(100.2, "error"), "sends InBandError"),
        (Sent(100.2, "tool call"), "sends ToolCall"),
    ],
)
def test_a_step_is_called_as_in_a_script(step: Sent, words: str) -> None:
    entry = Entry(0, None, {}, received_s=100.0, sent=[step])

    assert text_of(client_that_saw(), entry)[-1].what == words


def test_every_step_and_every_ending_has_words() -> None:
    assert {*NAMES, "burst"} == set(get_args(SentKind))
    assert set(ENDINGS) == set(get_args(Ending))
