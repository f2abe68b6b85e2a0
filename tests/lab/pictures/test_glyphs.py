"""`glyphs` writes any bytes in one line, and marks where two texts differ."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stages.lab.pictures.canvas import Canvas, width_px
from stages.lab.pictures.glyphs import BOX_PT, Glyph, fit, width_of, write, write_compared
from stages.lab.pictures.picture import Picture
from tests.helpers.pictures import labelled, right_edge_px, texts

# Derandomized and without a deadline: a failure is a mistake here, not luck or a busy machine.
thorough = settings(derandomize=True, deadline=None, max_examples=200)
any_text = st.text(st.characters(exclude_categories=()), max_size=400)


def drawn(text: str, other: str, room_px: float = 600) -> Picture:
    canvas = Canvas(40)
    write_compared(canvas, 10, 20, text, other, room_px)
    return Picture(canvas.figure, "")


def test_a_line_that_fits_is_whole() -> None:
    assert fit("data: a", 200, 50) == [Glyph(char, boxed=False) for char in "data: a"]


BOXES = [
    ("\n", "LF"),
    ("\r", "CR"),
    ("\t", "TAB"),
    ("\0", "NUL"),
    ("\u2028", "U+2028"),
    ("日", "U+65E5"),
    ("\ud83d", "U+D83D"),
    ("\udcff", "0xFF"),
]


@pytest.mark.parametrize(("char", "name"), BOXES, ids=[name for _, name in BOXES])
def test_what_cannot_be_seen_stands_in_a_box_with_its_name(char: str, name: str) -> None:
    assert Glyph.of(char) == Glyph(name, boxed=True)


def test_a_byte_that_is_no_text_stands_in_a_box_with_its_number() -> None:
    (glyph,) = map(Glyph.of, b"\xff".decode(errors="surrogateescape"))

    assert glyph == Glyph("0xFF", boxed=True)


@pytest.mark.parametrize("char", ["a", " ", "\\", "é", "λ", "…"])
def test_what_can_be_seen_is_itself(char: str) -> None:
    assert Glyph.of(char) == Glyph(char, boxed=False)


def test_a_box_has_room_for_its_name() -> None:
    assert Glyph.of("\u2028").width_px > width_px("U+2028", BOX_PT, bold=True)


def test_a_long_line_is_seen_to_end() -> None:
    end = "".join(glyph.text for glyph in fit("x" * 1000 + "end", 300, 100)[-3:])

    assert end == "end"


@thorough
@given(any_text, st.floats(60, 900))
def test_no_line_takes_more_room_than_there_is(text: str, room_px: float) -> None:
    assert width_of(fit(text, room_px, room_px / 3)) <= room_px


@thorough
@given(any_text)
def test_a_shortened_line_keeps_its_start_and_its_end(text: str) -> None:
    row = fit(text, 300, 100)
    whole = [Glyph.of(char) for char in text]
    cut = row.index(Glyph("…", boxed=False)) if row != whole else len(row)

    assert row[:cut] == whole[:cut]
    assert row[cut + 1 :] == whole[len(whole) - len(row[cut + 1 :]) :]


def test_a_line_ends_where_its_width_says() -> None:
    canvas, row = Canvas(40), fit("a\nb", 200, 50)

    assert write(canvas, 10, 20, row, "black") == pytest.approx(10 + width_of(row))


@pytest.mark.parametrize(
    ("text", "other", "written"),
    [
        ("abc", "abc", ["abc"]),
        ("abXc", "abc", ["ab", "X", "c"]),
        ("abc", "abXc", ["abc"]),
        ("abc", "", ["abc"]),
        ("aXa", "aYa", ["a", "X", "a"]),
        ("aaa", "aa", ["aa", "a"]),
        ("aaa", "aaXaa", ["aaa"]),
        ("Hello world- item", "Hello world", ["Hello world", "- item"]),
    ],
)
def test_a_text_is_parted_where_it_differs(text: str, other: str, written: list[str]) -> None:
    assert texts(drawn(text, other), "wire") == written


def test_only_what_the_other_text_lacks_stands_on_red() -> None:
    assert len(labelled(drawn("abXc", "abc"), "difference")) == 1
    assert labelled(drawn("abc", "abXc"), "difference") == []


def test_a_difference_deep_in_a_long_text_is_in_sight() -> None:
    assert "X" in texts(drawn("a" * 5000 + "X" + "a" * 5000, "a" * 10_000), "wire")


@settings(thorough, max_examples=40)  # each is rendered
@given(any_text, any_text)
@example("a" * 100 + "b" * 100 + "c" * 100, "a" * 100 + "c" * 100)
def test_two_texts_are_drawn_within_their_room(text: str, other: str) -> None:
    picture = drawn(text, other, 500)

    picture.render("png")  # a glyph that the font lacks is a warning, and so an error
    # A pixel of slack: the width is that of the letters' feet, and some lean over them.
    assert right_edge_px(picture) <= 10 + 500 + 1
