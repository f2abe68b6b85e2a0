"""Findings: what the doctor says of one thing."""

from dataclasses import dataclass
from typing import Literal

Grade = Literal["ready", "warning", "missing"]
INSTALL = "`make tour` installs what was tested into .venv; then use .venv/bin/python."


@dataclass(frozen=True)
class Finding:
    """What the doctor found: one line, and what to do about it unless it is ready."""

    grade: Grade
    what: str
    remedy: str = ""

    @property
    def mark(self) -> str:
        """✓ ready, ! works but may differ, ✗ missing."""
        return {"ready": "✓", "warning": "!", "missing": "✗"}[self.grade]
