"""Text for people: escaped for where it is shown, and laid out as a table.

A notebook shows Markdown, because it is all that GitHub leaves of a notebook's styling; everything
else shows plain text. A notebook stores both, and nbval compares both.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# What Markdown, HTML or the formulas of Jupyter would take for theirs.
# https://spec.commonmark.org/0.31.2/#backslash-escapes
SPECIAL = re.compile(r"([\\`*_\[\]<>|~$&])")


@dataclass(frozen=True)
class Text:
    """A text for a person. Jupyter shows the Markdown, everything else shows the plain one."""

    markdown: str
    plain: str

    def __repr__(self) -> str:
        return self.plain

    def _repr_markdown_(self) -> str:
        return self.markdown


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Text:
    """Return a table of anything that can be printed, one row a line."""
    words = [[str(word) for word in row] for row in rows]
    lines = [head, ["---"] * len(head), *(map(escaped, row) for row in words)]
    return Text("\n".join(f"| {' | '.join(line)} |" for line in lines), aligned([head, *words]))


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines whose columns stand under each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def escaped(text: str) -> str:
    """Return text that Markdown shows as it stands."""
    return SPECIAL.sub(r"\\\1", text)


def printable(text: str, can_be_shown: Callable[[str], bool] = str.isprintable) -> str:
    """Return text with escapes like `\\x1b` for what moves the cursor, or cannot be shown there."""
    return "".join(char if can_be_shown(char) else ascii(char)[1:-1] for char in text)
