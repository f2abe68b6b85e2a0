"""Pictures: what a notebook shows, and what stands in the README.

The same picture is the same bytes on every run.
"""

import io
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.figure import Figure
from PIL import Image  # comes with matplotlib

from stages.lab.pictures.canvas import DPI

SHARP = 2  # pixels of a PNG for each of the canvas, for screens of high density
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "path",  # GitHub shows an SVG without a font of ours
    "svg.hashsalt": "stages",  # instead of random names
    "text.hinting": "none",  # letters as wide as the canvas says, in every kind
}
Kind = Literal["svg", "png", "pdf"]
ANONYMOUS: dict[Kind, dict[str, None]] = {  # without the date and the version of matplotlib
    "svg": {"Creator": None, "Date": None},
    "png": {},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}
PALETTE = 32  # colours of a PNG: a dozen, and some shades for their edges


class Picture:
    """A figure and the sentence that says what it shows. Jupyter shows it as a PNG."""

    def __init__(self, figure: Figure, alt: str) -> None:
        self.figure, self.alt = figure, alt

    def __repr__(self) -> str:
        return self.alt

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        # No height: where the column is narrower, the picture keeps its proportions.
        width = round(self.figure.get_size_inches()[0] * DPI)
        return self.render("png"), {"width": width, "alt": self.alt}

    def render(self, kind: Kind) -> bytes:
        """Return the file's bytes, the same for the same picture on every run."""
        file = io.BytesIO()
        with matplotlib.rc_context(SETTINGS):
            self.figure.savefig(file, format=kind, dpi=DPI * SHARP, metadata=ANONYMOUS[kind])
        return _smaller(file) if kind == "png" else file.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the picture; raises ValueError for a path that does not end in a known kind."""
        path = Path(path)
        for kind in ANONYMOUS:
            if path.suffix == f".{kind}":
                path.write_bytes(self.render(kind))
                return
        raise ValueError(
            f"A picture cannot be saved as {path.name}: its ending names no kind of picture. "
            f"Known are {', '.join(f'.{kind}' for kind in ANONYMOUS)}; give one of them."
        )


def _smaller(png: io.BytesIO) -> bytes:
    """Return the same PNG with a palette: a third of the bytes, and no difference to the eye."""
    file = io.BytesIO()
    with Image.open(png) as image:
        image.convert("RGB").quantize(PALETTE).save(file, "png", optimize=True)
    return file.getvalue()
