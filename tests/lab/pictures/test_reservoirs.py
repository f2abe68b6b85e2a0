"""`reservoirs` shows how much each buffer holds, in the order of the way."""

from dataclasses import replace

import pytest

from stages.lab.experiments.buffers import Buffers
from stages.lab.pictures import reservoirs
from stages.lab.pictures.picture import Picture
from tests.helpers.pictures import clashes, labelled, texts

LARGE = Buffers(2112, 8_898_254, False, 3_401_020, 1_131_906, 100_554, 67_116, 3_915_776, 122_915)
SMALL = Buffers(63, 269_408, False, 51_200, 125_220, 8_508, 68_945, 6_062, 6_324)
ALL = Buffers(5000, 21_060_329, True, 0, 0, 16_795_502, 67_167, 3_915_776, 122_915)


def widths(picture: Picture, name: str) -> list[float]:
    return [bar.get_width() for bar in labelled(picture, name)]


def test_every_place_has_a_bar_in_the_order_of_the_way() -> None:
    picture = reservoirs.draw({"large": LARGE})

    tops = [bar.get_y() for bar in labelled(picture, "large")]
    assert len(tops) == 6
    assert tops == sorted(tops)
    assert texts(picture, "whose") == ["upstream", "server", "client"]


def test_a_bar_is_as_long_as_its_place_holds() -> None:
    first, second, *_ = widths(reservoirs.draw({"large": LARGE}), "large")

    assert first / second == pytest.approx(3_401_020 / 1_131_906)


def test_the_amounts_stand_at_the_bars() -> None:
    picture = reservoirs.draw({"large": LARGE})

    assert texts(picture, "held") == [
        "3,401 KB",
        "1,132 KB",
        "101 KB",
        "67 KB",
        "3,916 KB",
        "123 KB",
    ]


def test_all_groups_have_the_same_scale() -> None:
    picture = reservoirs.draw({"large": LARGE, "again": LARGE, "all": ALL})

    assert widths(picture, "large") == widths(picture, "again")
    assert widths(picture, "large")[4] == widths(picture, "all")[4]
    assert max(widths(picture, "all")) == reservoirs.END_X - reservoirs.START_X


def test_little_is_seen_and_nothing_is_not() -> None:
    picture = reservoirs.draw({"small": SMALL, "all": ALL})

    assert min(widths(picture, "small")) == reservoirs.THIN_PX
    assert widths(picture, "all")[0] == 0


def test_a_rest_that_is_a_few_headers_short_is_nothing() -> None:
    picture = reservoirs.draw({"short": replace(LARGE, application_bytes=-200)})

    assert texts(picture, "held")[2] == "0 KB"
    assert widths(picture, "short")[2] == 0


def test_what_a_kernel_holds_has_another_colour_than_what_a_process_holds() -> None:
    picture = reservoirs.draw({"large": LARGE})

    colours = [bar.get_facecolor() for bar in labelled(picture, "large")]
    assert len(set(colours)) == 2
    assert [colour == colours[0] for colour in colours] == [True, True, False, False, True, True]


def test_what_the_upstream_sent_stands_beside_the_title() -> None:
    picture = reservoirs.draw({"large": LARGE, "all": ALL})

    assert texts(picture, "title") == ["large", "all"]
    assert texts(picture, "sent") == [
        "the upstream sent 8,898 KB, then was held up",
        "the upstream sent 21,060 KB, all of it",
    ]


def test_the_picture_says_in_words_what_it_shows() -> None:
    alt = reservoirs.draw({"small": SMALL}).alt

    assert alt == (
        "Where the bytes sit. small: upstream kernel, send queue 51 KB, server kernel, receive "
        "queue 125 KB, server application 9 KB, server transport's write buffer 69 KB, server "
        "kernel, send queue 6 KB, client kernel, receive queue 6 KB; the upstream sent 269 KB, "
        "then was held up."
    )


@pytest.mark.parametrize("title", ["large", "a title that has no end " * 20])
def test_no_text_lies_over_another(title: str) -> None:
    assert clashes(reservoirs.draw({title: LARGE, "all": ALL})) == []


def test_nothing_measured_is_an_empty_picture() -> None:
    assert clashes(reservoirs.draw({})) == []
