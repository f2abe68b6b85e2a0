"""`labels` puts words beside arrows so that none lies over another, however dense."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.lab.pictures.canvas import Clock
from stages.lab.pictures.labels import APART_PX, LEVELS, Label, labels
from stages.lab.pictures.story import Kind, Passing

CLOCK, EDGE_PX = Clock(1.0, 100, 700), 880.0
KINDS: tuple[Kind, ...] = ("token", "burst", "ping", "done", "error", "leave", "other")

# Derandomized and without a deadline: a failure is a mistake here, not luck or a busy machine.
thorough = settings(derandomize=True, deadline=None, max_examples=300)
passings = st.lists(
    st.builds(
        Passing,
        at_s=st.floats(0, 1),
        gap=st.just("client"),
        kind=st.sampled_from(KINDS),
        what=st.sampled_from(["''", "'Hello'", "' a longer token'", "done", "x" * 5000]),
    ),
    max_size=120,
)


def passing(at_s: float, kind: Kind, what: str) -> Passing:
    return Passing(at_s, "client", kind, what)


def words(*passed: Passing) -> list[str]:
    return [label.words for label in labels(passed, CLOCK, EDGE_PX)]


def test_what_passes_far_apart_has_a_label_each() -> None:
    assert words(passing(0.1, "token", "'a'"), passing(0.5, "token", "'b'")) == ["'a'", "'b'"]


def test_a_label_stands_beside_its_arrow() -> None:
    (label,) = labels([passing(0.5, "token", "'a'")], CLOCK, EDGE_PX)

    assert 0 < label.x - CLOCK.x(0.5) < 10


def test_what_passes_at_the_same_time_shares_a_label() -> None:
    assert words(passing(0.5, "token", "'a'"), passing(0.5, "done", "done")) == ["'a', done"]


def test_tokens_at_the_same_time_are_counted() -> None:
    together = [passing(0.5, "token", "'a'"), passing(0.5, "ping", "ping")] * 3

    assert words(*together) == ["3 tokens, 3 pings"]


def test_beside_what_matters_the_rest_is_left_out() -> None:
    assert words(passing(0.5, "other", "role"), passing(0.5, "token", "'a'")) == ["'a'"]
    assert words(passing(0.5, "other", "headers"), passing(0.5, "other", "role")) == [
        "headers, role"
    ]


@pytest.mark.parametrize(
    ("kinds", "weightiest"),
    [(("token", "error"), "error"), (("token", "done"), "done"), (("ping", "token"), "token")],
)
def test_a_label_has_the_kind_of_what_matters_most(
    kinds: tuple[Kind, Kind], weightiest: Kind
) -> None:
    (label,) = labels([passing(0.5, kind, kind) for kind in kinds], CLOCK, EDGE_PX)

    assert label.kind == weightiest


def test_a_long_stream_has_one_label_over_its_middle() -> None:
    stream = [passing(i / 100, "token", "'word'") for i in range(101)]

    (label,) = labels(stream, CLOCK, EDGE_PX)

    assert label.words == "101 tokens"
    assert label.x + label.width_px / 2 == pytest.approx(400)


def test_a_long_token_loses_its_middle() -> None:
    (label,) = labels([passing(0.5, "token", repr("x" * 100_000))], CLOCK, EDGE_PX)

    assert label.width_px < 115
    assert "…" in label.words


def test_a_crowd_of_words_at_one_moment_stays_within_the_edges() -> None:
    (label,) = labels([passing(0.0, "done", f"done {i}") for i in range(60)], CLOCK, EDGE_PX)

    assert 0 <= label.x <= label.x + label.width_px <= EDGE_PX
    assert "…" in label.words


def test_nothing_has_no_labels() -> None:
    assert words() == []


@thorough
@given(passings)
def test_no_label_lies_over_another_or_beyond_the_edge(passed: list[Passing]) -> None:
    placed = labels(sorted(passed, key=lambda passing: passing.at_s), CLOCK, EDGE_PX)

    for level in range(LEVELS):
        row = [label for label in placed if label.level == level]
        assert all(a.x + a.width_px + APART_PX <= b.x + 1e-6 for a, b in pairwise(row))
    assert all(label.level < LEVELS and _inside(label) for label in placed)


def _inside(label: Label) -> bool:
    return label.x >= 0 and label.x + label.width_px <= EDGE_PX + 1e-6
