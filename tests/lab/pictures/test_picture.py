"""`picture` writes the same bytes for the same picture, wherever it is drawn."""

import io
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from PIL import Image

from stages.lab.pictures.canvas import Canvas
from stages.lab.pictures.picture import Kind, Picture
from tests.helpers.places import ROOT

KINDS: tuple[Kind, ...] = ("svg", "png", "pdf")


def picture() -> Picture:
    canvas = Canvas(60, 300)
    canvas.text(10, 20, "told: nothing", bold=True)
    canvas.box(10, 30, 80, 20, fill="#FDE4D8", round_px=3)
    canvas.cross(20, 40, "#C24A00")
    return Picture(canvas.figure, "A test.")


@pytest.mark.parametrize("kind", KINDS)
def test_two_pictures_alike_are_the_same_bytes(kind: Kind) -> None:
    assert picture().render(kind) == picture().render(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_another_run_writes_the_same_bytes(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / f"again.{kind}"
    module = "tests.lab.pictures.test_picture"
    again = f"import sys; from {module} import picture; picture().save(sys.argv[1])"
    here = {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", again, str(path)], check=True, env=here)

    assert path.read_bytes() == picture().render(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_names_no_date_and_no_version(kind: Kind) -> None:
    written = picture().render(kind)

    assert b"CreationDate" not in written
    assert matplotlib.__version__.encode() not in written
    assert b"matplotlib.org" not in written


def test_a_vector_picture_brings_its_letters() -> None:
    svg = picture().render("svg").decode()

    assert "<text" not in svg
    assert "font-family" not in svg


def test_a_vector_picture_is_white_also_where_the_page_is_dark() -> None:
    svg = picture().render("svg").decode()

    assert re.search(r'id="patch_1">\s*<path d="[^"]*" style="fill: #ffffff"', svg)


def test_a_png_is_white_where_nothing_is_drawn() -> None:
    with Image.open(io.BytesIO(picture().render("png"))) as image:
        assert image.convert("RGB").getpixel((590, 110)) == (255, 255, 255)


def test_a_png_keeps_the_colours_of_the_palette() -> None:
    with Image.open(io.BytesIO(picture().render("png"))) as image:
        assert image.convert("RGB").getpixel((150, 80)) == (0xFD, 0xE4, 0xD8)


def test_jupyter_gets_a_sharp_png_and_the_width_to_show_it_in() -> None:
    data, metadata = picture()._repr_png_()

    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (600, 120)
    assert metadata == {"width": 300, "alt": "A test."}


def test_where_no_picture_can_be_seen_its_sentence_stands() -> None:
    assert repr(picture()) == "A test."


@pytest.mark.parametrize("name", ["stairs.gif", "stairs", "stairs.SVG.txt"])
def test_an_unknown_ending_says_which_are_known(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=rf"cannot be saved as {name}: its ending names no kind of picture\. "
        r"Known are \.svg, \.png, \.pdf; give one of them\.",
    ):
        picture().save(tmp_path / name)


def test_no_picture_needs_pyplot() -> None:
    program = (
        "import sys; from stages.lab import show; sys.exit('matplotlib.pyplot' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
