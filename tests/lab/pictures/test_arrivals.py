"""`arrivals` shows when each piece of an answer came."""

from stages.lab.pictures import arrivals
from tests.helpers.pictures import clashes, labelled, texts

TIMES = {"one document": [0.8], "SSE": [0.1, 0.2, 0.3, 0.4], "nothing": []}


def test_every_arrival_is_a_dot_in_its_row() -> None:
    picture = arrivals.draw(TIMES)

    assert [len(labelled(picture, name)) for name in TIMES] == [1, 4, 0]


def test_a_later_arrival_stands_further_to_the_right() -> None:
    places = [dot.center[0] for dot in labelled(arrivals.draw(TIMES), "SSE")]

    assert places == sorted(places)
    assert arrivals.START_X < places[0] < places[-1] < arrivals.END_X


def test_the_last_arrival_of_all_stands_at_the_end() -> None:
    (dot,) = labelled(arrivals.draw(TIMES), "one document")

    assert dot.center[0] == arrivals.END_X


def test_all_rows_have_the_same_scale() -> None:
    picture = arrivals.draw({"a": [0.5, 1.0], "b": [0.5]})

    assert labelled(picture, "a")[0].center[0] == labelled(picture, "b")[0].center[0]


def test_the_pieces_are_counted() -> None:
    picture = arrivals.draw(TIMES)

    assert texts(picture, "count") == ["1 piece", "4 pieces", "0 pieces"]
    assert picture.alt == "Arrivals: one document 1 piece, SSE 4 pieces, nothing 0 pieces."
    assert clashes(picture) == []


def test_a_row_without_arrivals_is_empty() -> None:
    picture = arrivals.draw({"nothing": []})

    assert labelled(picture, "nothing") == []
    assert clashes(picture) == []
