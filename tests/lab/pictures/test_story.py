"""`story` tells what passed in an answer, and whether the client was told the truth."""

from typing import get_args

import pytest

from stages.lab.bench.bench import Answer
from stages.lab.clients.client import Ending
from stages.lab.pictures import story
from stages.lab.pictures.story import Message
from stages.lab.upstream.ledger import SENT_KEPT, SentKind
from tests.helpers.pictures import (
    BROKEN,
    DONE,
    ERROR,
    NOT_TOLD,
    PING,
    START_S,
    TOKEN,
    TOLD,
    WHOLE,
    SentFields,
    answer,
    client,
    entry,
    plain,
)


def test_everything_that_passed_stands_in_order_of_time() -> None:
    passed = [(passing.gap, passing.kind, passing.what) for passing in story.passings(WHOLE)]

    assert passed == [
        ("client", "request", "request"),
        ("client", "other", "status 200"),
        ("upstream", "request", "request"),
        ("upstream", "other", "headers"),
        ("upstream", "other", "role"),
        ("upstream", "token", "'Hello'"),
        ("client", "token", "'Hello'"),
        ("upstream", "done", "finish"),
        ("upstream", "other", "[DONE]"),
        ("client", "done", "done"),
    ]


def test_times_count_from_the_request() -> None:
    assert [passing.at_s for passing in story.passings(WHOLE)] == pytest.approx(
        [0.0, 0.01, 0.02, 0.03, 0.03, 0.29, 0.3, 0.89, 0.89, 0.9]
    )


def test_a_comment_is_a_ping_and_what_cannot_be_read_says_so() -> None:
    of = answer(client((0.2, PING), (0.3, b"event: token\ndata: oops\n\n")))

    assert [(passing.kind, passing.what) for passing in story.passings(of)][2:] == [
        ("ping", "ping"),
        ("other", "unreadable"),
    ]


def test_a_client_that_leaves_and_a_server_that_closes_are_seen() -> None:
    left = entry((0.1, "token", "Hello"), ended=None)
    left.left, left.left_s = "fin", START_S + 0.6
    of = answer(client((0.2, TOKEN), ended="left", ended_s=0.5), left)

    last = story.passings(of)[-2:]
    assert [(passing.gap, passing.kind, passing.what) for passing in last] == [
        ("client", "leave", "closes"),
        ("upstream", "leave", "closes"),
    ]
    assert [passing.at_s for passing in last] == pytest.approx([0.5, 0.6])
    assert story.client_end(of).words == "leaves"
    assert story.upstream_end(of).words == "closed by the server"


def test_a_refusal_passes_from_the_upstream_and_a_status_to_the_client() -> None:
    of = answer(client(status=429), entry(ended="refused", at_s=0.1))

    assert [(passing.kind, passing.what) for passing in story.passings(of)][1:] == [
        ("error", "status 429"),
        ("request", "request"),
        ("error", "refusal"),
    ]


def test_a_burst_of_tokens_is_not_taken_for_one() -> None:
    of = answer(client(), entry((0.1, "burst", "0 to 63"), tokens=64))

    assert story.passings(of)[-1].kind == "burst"


def test_raw_text_is_not_taken_for_a_token() -> None:
    of = answer(client(), entry((0.1, "token", "a"), (0.2, "raw", "oops\n"), (0.3, "finish")))

    (raw,) = (passing for passing in story.passings(of) if passing.at_s == pytest.approx(0.2))
    assert (raw.gap, raw.kind, raw.what) == ("upstream", "raw", r"raw 'oops\n'")
    assert story.sent_text(of) == "a"


def test_every_step_that_an_upstream_can_send_has_words() -> None:
    assert set(story.ARROWS) == set(get_args(SentKind))


@pytest.mark.parametrize(
    ("ended", "words", "bad"),
    [
        ("clean", "end of the answer", False),
        ("cut", "connection cut", True),
        ("reset", "connection reset", True),
        ("malformed", "not HTTP any more", True),
        ("left", "leaves", False),
        (None, "still reads", False),
    ],
)
def test_the_end_for_the_client(ended: Ending | None, words: str, bad: bool) -> None:
    end = story.client_end(answer(client(ended=ended, ended_s=1.0)))

    assert (end.words, end.bad) == (words, bad)
    assert end.at_s == (None if ended is None else 1.0)


FULL: list[SentFields] = [(0.1, "token", "a")] * SENT_KEPT


@pytest.mark.parametrize(
    ("of_upstream", "words", "bad"),
    [
        (entry((0.1, "token", "a"), (0.2, "finish")), "end of the answer", False),
        (entry((0.1, "token", "a")), "ends without a finish", True),
        (entry((0.1, "token", "a"), (0.2, "error")), "ends in an error", True),
        (entry((0.1, "token", "a"), ended="cut"), "breaks off", True),
        (entry(ended="refused"), "refuses", True),
        (entry((0.1, "token", "a"), ended=None), "still open", False),
        (entry(*FULL), "end of the answer", False),
        (entry(*FULL, ended="cut"), "breaks off", True),
        (None, "is never asked", False),
    ],
)
def test_the_end_of_the_upstream(of_upstream: object, words: str, bad: bool) -> None:
    end = story.upstream_end(answer(client(), of_upstream))  # type: ignore[arg-type]  # an entry or None

    assert (end.words, end.bad) == (words, bad)


DAMAGED = plain(b"data: a\n\n- item\n\ndata: [DONE]\n\n", "a", "\n\n- item")


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (WHOLE, Message("told: done", "which is true", "done")),
        (TOLD, Message("told: error", "the failure is told", "failure told")),
        (NOT_TOLD, Message("told: nothing", "connection cut", "failure not told")),
        (
            answer(client((0.3, TOKEN)), BROKEN),
            Message("told: nothing", "only that it is over", "failure not told"),
        ),
        (
            answer(client((0.3, TOKEN + DONE)), BROKEN),
            Message("told: done", "which is not true", "failure not told"),
        ),
        (
            answer(client((0.3, TOKEN + ERROR + DONE)), BROKEN),
            Message("told: error, done", "only one may come", "failure not told"),
        ),
        (
            answer(client((0.3, TOKEN + ERROR), ended="cut"), BROKEN),
            Message("told: error", "then connection cut", "failure not told"),
        ),
        (DAMAGED, Message("told: done", "but the text is damaged", "failure not told")),
        (
            answer(client(status=429), entry(ended="refused")),
            Message("told: status 429", "the failure is told", "failure told"),
        ),
        (
            answer(client(status=None, ended="reset"), None),
            Message("told: nothing", "connection reset", "failure not told"),
        ),
        (
            answer(client((0.3, TOKEN), ended="left"), BROKEN),
            Message("told: nothing", "it left first", "left"),
        ),
        (
            answer(client((0.3, TOKEN), ended=None), BROKEN),
            Message("told: nothing", "it still reads", "left"),
        ),
    ],
    ids=lambda value: f"{value.words}, {value.worth}" if isinstance(value, Message) else "",
)
def test_what_the_client_was_told_and_what_that_is_worth(of: Answer, message: Message) -> None:
    assert story.message(of) == message


def test_the_text_that_was_sent_is_that_of_all_tokens() -> None:
    assert story.sent_text(DAMAGED) == "a\n\n- item"


def test_an_upstream_that_was_not_asked_sent_no_text() -> None:
    assert story.sent_text(answer(client())) == ""


def test_a_ledger_without_all_tokens_does_not_know_the_text() -> None:
    assert story.sent_text(answer(client(), entry((0.1, "token", "a"), tokens=2))) is None
