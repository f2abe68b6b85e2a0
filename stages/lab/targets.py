"""Targets: what a probe can be pointed at, by the names that people use."""

from dataclasses import dataclass
from pathlib import Path

from stages import catalog
from stages.lab.dialects import DIALECTS, Dialect


class TargetError(ValueError):
    """A name that is no stage, no wrong turn and no file; the message lists what there is."""


@dataclass(frozen=True)
class Target:
    """A server that can be started: what uvicorn runs, and how it speaks.

    `stem` is its name in the catalogue, None for a file of the learner's own.
    """

    name: str
    app: str
    dialect: Dialect
    stem: str | None = None


def find(name: str | int) -> Target:
    """Return the target of a stage number, a stem, a wrong turn's stem, or a path to a .py file.

    Raises TargetError.
    """
    name = str(name)
    for entry in (*catalog.STAGES, *catalog.WRONG_TURNS):
        number = str(entry.number) if isinstance(entry, catalog.Stage) else None
        if name in (number, entry.stem):
            return Target(entry.stem, entry.app, DIALECTS[entry.dialect], entry.stem)
    path, _, app = name.partition(":")
    if path.endswith(".py"):
        if not Path(path).is_file():
            raise TargetError(
                f"There is no file {path}. Give the path of a server, as seen from here."
            )
        return Target(path, f"{Path(path).resolve()}:{app or 'app'}", DIALECTS["stages"])
    raise TargetError(f"{name!r} is no stage and no file. {_what_there_is()}")


def _what_there_is() -> str:
    stages = ", ".join(f"{stage.number} ({stage.stem})" for stage in catalog.STAGES)
    turns = ", ".join(turn.stem for turn in catalog.WRONG_TURNS)
    return f"Stages: {stages}. Wrong turns: {turns}. Or a path that ends in .py."
