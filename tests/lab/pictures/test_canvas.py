"""`canvas` draws shapes and lines of text where it is told, in pixels."""

import pytest

from stages.lab.pictures.canvas import Canvas, Clock, drawable, shortened, width_px
from stages.lab.pictures.picture import Picture
from tests.helpers.pictures import labelled, right_edge_px, texts


def picture(canvas: Canvas) -> Picture:
    return Picture(canvas.figure, "")


@pytest.mark.parametrize("mono", [True, False])
@pytest.mark.parametrize("bold", [True, False])
@pytest.mark.parametrize("text", ["the client is told: error", "WWW iii", "data: {}", "x" * 80])
def test_a_text_takes_the_width_that_is_foretold(text: str, bold: bool, mono: bool) -> None:
    canvas = Canvas(40)
    canvas.text(10, 20, text, bold=bold, mono=mono)

    # Renderers round letters to their own pixels: 2 in 100 is less than a letter.
    foretold = width_px(text, bold=bold, mono=mono)
    assert right_edge_px(picture(canvas)) - 10 == pytest.approx(foretold, rel=0.02, abs=2)


def test_what_the_font_lacks_is_escaped() -> None:
    canvas = Canvas(40)
    canvas.text(10, 20, "日本 \n \ud83d é ✓ …")
    picture(canvas).render("png")  # a glyph that the font lacks is a warning, and so an error

    assert texts(picture(canvas)) == [r"\u65e5\u672c \n \ud83d é ✓ …"]


def test_nothing_is_taken_for_a_formula() -> None:
    canvas = Canvas(40)
    canvas.text(10, 20, r"$\frac{1}{2$ and $x$", label="money")

    assert labelled(picture(canvas), "money")[0].get_parse_math() is False


def test_a_lone_surrogate_and_a_private_character_cannot_be_drawn() -> None:
    assert [drawable(char) for char in "a✗\ud83d\ue000\u200b\n"] == [True, True] + [False] * 4


def test_a_text_that_fits_is_whole() -> None:
    assert shortened("token 'Hello'", 200) == "token 'Hello'"


@pytest.mark.parametrize("length", [30, 300, 1_000_000])
def test_a_text_that_does_not_fit_loses_its_middle(length: int) -> None:
    short = shortened("start " + "x" * length + " end", 120)

    assert width_px(short) <= 120
    assert short.startswith("start ")
    assert short.endswith(" end")
    assert short.count("…") == 1


def test_what_is_drawn_later_lies_above() -> None:
    canvas = Canvas(40)
    canvas.text(10, 20, "a", label="first")
    canvas.box(10, 10, 50, 20, fill="white", label="cover")
    canvas.text(10, 20, "b", label="second")

    layers = [labelled(picture(canvas), name)[0].zorder for name in ("first", "cover", "second")]
    assert layers == [0, 1, 2]


@pytest.mark.parametrize(("y_from", "y_to"), [(90, 10), (10, 90)])
def test_an_arrow_points_where_it_goes(y_from: float, y_to: float) -> None:
    canvas = Canvas(100)
    canvas.arrow(50, y_from, y_to, "black")

    (head,) = labelled(picture(canvas), "head")
    tip, *base = head.get_xy()[:3].tolist()
    assert tip == [50.0, float(y_to)]
    assert all(min(y_from, y_to) < y < max(y_from, y_to) for _, y in base)


@pytest.mark.parametrize(
    ("span_s", "ticks"),
    [
        (0.009, ["0 ms", "2 ms", "4 ms", "6 ms", "8 ms"]),
        (0.22, ["0 ms", "50 ms", "100 ms", "150 ms", "200 ms"]),
        (1.2, ["0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s", "1 s", "1.2 s"]),
        (10.0, ["0 s", "2 s", "4 s", "6 s", "8 s", "10 s"]),
        (0.0, ["0 ms", "0.2 ms", "0.4 ms", "0.6 ms", "0.8 ms", "1 ms"]),
    ],
)
def test_the_axis_counts_in_round_numbers(span_s: float, ticks: list[str]) -> None:
    canvas = Canvas(60)
    Clock(span_s, 100, 700).draw(canvas, 40, 10)

    assert texts(picture(canvas)) == ticks


def test_the_clock_runs_from_left_to_right() -> None:
    clock = Clock(2.0, 100, 700)

    assert [clock.x(at_s) for at_s in (0.0, 1.0, 2.0)] == [100, 400, 700]
