"""`swimlane` shows who sent what when, and at a glance whether a failure was told."""

import pytest

from stages.lab.bench.bench import Answer
from stages.lab.pictures import swimlane
from stages.lab.upstream.ledger import SENT_KEPT
from tests.helpers.pictures import (
    BROKEN,
    DONE,
    NOT_TOLD,
    PING,
    START_S,
    TOKEN,
    TOLD,
    WHOLE,
    SentFields,
    answer,
    clashes,
    client,
    entry,
    labelled,
    right_edge_px,
    texts,
)

CLOSED = entry((0.1, "token", "Hello"), ended=None)
CLOSED.left, CLOSED.left_s = "fin", START_S + 0.6
LEFT = answer(client((0.2, TOKEN), ended="left", ended_s=0.5), CLOSED)


def test_a_failure_that_is_told_has_a_solid_frame_and_a_warning_sign() -> None:
    picture = swimlane.draw({"": TOLD})

    (frame,) = labelled(picture, "failure told")
    assert frame.get_linestyle() == "-"
    assert len(labelled(picture, "warning")) == 1
    assert texts(picture, "told") + texts(picture, "worth") == [
        "told: error",
        "the failure is told",
    ]


def test_a_failure_that_is_not_told_has_a_dashed_frame_and_a_cross() -> None:
    picture = swimlane.draw({"": NOT_TOLD})

    (frame,) = labelled(picture, "failure not told")
    assert frame.get_linestyle() == "--"
    assert labelled(picture, "warning") == []
    # Of two strokes each: where the upstream breaks off, where the client is cut, in the frame.
    assert len(labelled(picture, "cross")) == 2 * 3
    assert texts(picture, "told") + texts(picture, "worth") == ["told: nothing", "connection cut"]


def test_an_answer_that_is_whole_has_a_check_and_no_cross() -> None:
    picture = swimlane.draw({"": WHOLE})

    assert len(labelled(picture, "check")) == 1
    assert labelled(picture, "cross") == []


def test_everything_that_passes_is_an_arrow() -> None:
    # To the client: request, status, token, done. To the upstream: request, role (the headers
    # come at the same time), token, finish, [DONE].
    assert len(labelled(swimlane.draw({"": WHOLE}), "arrow")) == 4 + 5


def test_an_arrow_ends_where_what_passes_goes() -> None:
    heads = [head.get_xy()[0] for head in labelled(swimlane.draw({"": NOT_TOLD}), "head")]

    ends = [min(swimlane.LANES, key=lambda lane: abs(swimlane.LANES[lane] - y)) for _, y in heads]
    # Request, status, token; then request, headers, token.
    assert ends == ["server", "client", "client", "upstream", "server", "server"]


def test_a_client_that_leaves_and_a_server_that_closes_are_arrows_downwards() -> None:
    heads = [head.get_xy()[0] for head in labelled(swimlane.draw({"": LEFT}), "head")]

    ends = [min(swimlane.LANES, key=lambda lane: abs(swimlane.LANES[lane] - y)) for _, y in heads]
    # Request, status, token, the client's close; then request, token, the server's close.
    assert ends == ["server", "client", "client", "server", "upstream", "server", "upstream"]


def test_a_later_arrow_stands_further_to_the_right() -> None:
    xs = [arrow.get_xdata()[0] for arrow in labelled(swimlane.draw({"": WHOLE}), "arrow")[:4]]

    assert xs == sorted(xs)
    assert xs[0] == swimlane.START_X


def test_a_client_that_hears_nothing_of_a_server_that_asks_nobody_is_drawn_too() -> None:
    silent = answer(client(ended=None))
    silent.client.headers_s = silent.client.status = None

    picture = swimlane.draw({"": silent})

    assert "told: nothing" in texts(picture, "told")


def test_a_lane_is_filled_while_its_answer_is_open() -> None:
    picture = swimlane.draw({"": answer(client((0.3, TOKEN), ended_s=1.0), BROKEN)})

    bars = {lane: labelled(picture, f"bar {lane}")[0] for lane in swimlane.LANES}
    ends = {lane: bar.get_x() + bar.get_width() for lane, bar in bars.items()}
    assert ends["client"] == ends["server"] == pytest.approx(swimlane.END_X)
    assert bars["upstream"].get_x() > bars["client"].get_x() == swimlane.START_X
    assert ends["upstream"] < ends["client"]


def test_an_upstream_that_was_never_asked_has_an_empty_lane() -> None:
    picture = swimlane.draw({"": answer(client(status=422, ended_s=0.1))})

    assert labelled(picture, "bar upstream") == []
    assert texts(picture, "end") == ["end of the answer", "is never asked"]
    assert texts(picture, "told") == ["told: status 422"]


def test_an_upstream_that_is_still_open_is_filled_to_the_edge() -> None:
    waits = entry((0.1, "token", "Hello"), ended=None)
    picture = swimlane.draw({"": answer(client((0.2, TOKEN), ended="left", ended_s=0.5), waits)})

    (bar,) = labelled(picture, "bar upstream")
    assert bar.get_x() + bar.get_width() > swimlane.END_X
    assert texts(picture, "end") == ["leaves", "still open"]


def test_a_client_that_leaves_first_is_no_failure() -> None:
    picture = swimlane.draw({"": LEFT})

    assert texts(picture, "passing") == ["status 200", "'Hello'", "closes", "'Hello'", "closes"]
    assert len(labelled(picture, "left")) == 1
    assert labelled(picture, "cross") == labelled(picture, "warning") == []


def test_raw_text_is_drawn_as_what_it_is() -> None:
    sent = entry((0.1, "token", "a"), (0.2, "raw", "oops"), (0.9, "finish"))

    picture = swimlane.draw({"": answer(client((0.2, TOKEN)), sent)})

    assert texts(picture, "passing")[-3:] == ["'a'", "raw 'oops'", "finish"]


def test_a_ledger_that_is_full_says_that_arrows_are_missing() -> None:
    steps: list[SentFields] = [(0.1, "token", "a")] * SENT_KEPT
    full = entry(*steps, tokens=20_000)

    picture = swimlane.draw({"": answer(client((0.2, TOKEN + DONE)), full)})

    assert texts(picture, "rest") == ["20,000 tokens in all", f"drawn: the first {SENT_KEPT} steps"]


def test_several_answers_have_the_same_scale() -> None:
    long = answer(client((0.3, TOKEN), ended_s=2.0), BROKEN)

    picture = swimlane.draw({"short": NOT_TOLD, "long": long})

    short_bar, long_bar = labelled(picture, "bar client")
    assert short_bar.get_width() == pytest.approx(long_bar.get_width() / 2)
    assert long_bar.get_x() + long_bar.get_width() == pytest.approx(swimlane.END_X)
    assert texts(picture, "title") == ["short", "long"]
    assert clashes(picture) == []


def test_the_picture_says_in_words_what_was_told() -> None:
    assert swimlane.draw({"": TOLD}).alt == "told: error, the failure is told."
    assert swimlane.draw({"s01": NOT_TOLD, "s02": TOLD}).alt == (
        "s01: told: nothing, connection cut; s02: told: error, the failure is told."
    )


def stream(count: int, span_s: float, ended_s: float) -> Answer:
    """Tokens at equal distances, with a ping between every ten of them."""
    times = [span_s * (i + 1) / count for i in range(count)]
    chunks = [(at_s, TOKEN + PING * (i % 10 == 9)) for i, at_s in enumerate(times)]
    sent = entry(*[(at_s, "token", "Hello") for at_s in times[: SENT_KEPT - 1]], (span_s, "finish"))
    return answer(client(*chunks, (ended_s, DONE), ended_s=ended_s), sent)


@pytest.mark.parametrize(
    "of",
    [
        WHOLE,
        TOLD,
        NOT_TOLD,
        stream(3, 0.005, 0.006),
        stream(10, 0.5, 0.5),
        stream(30, 0.5, 3.0),
        stream(1000, 10.0, 10.0),
        answer(client(status=429, ended_s=0.003), entry(ended="refused", at_s=0.002)),
        answer(client(status=None, ended="reset", ended_s=0.0)),
        answer(client((0.1, b"event: token\ndata: oops\n\n" * 9 + DONE * 9), ended=None), BROKEN),
    ],
    ids=["whole", "told", "not told", "fast", "ten", "silence", "many", "refused", "none", "odd"],
)
def test_whatever_passed_nothing_lies_over_another_or_is_cut_off(of: Answer) -> None:
    picture = swimlane.draw({"a title": of})

    picture.render("png")  # a glyph that the font lacks is a warning, and so an error
    assert clashes(picture) == []
    assert right_edge_px(picture, "end") < swimlane.TOLD_X
