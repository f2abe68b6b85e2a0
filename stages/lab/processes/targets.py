"""Targets: what a probe can be pointed at, by the names that people use."""

from dataclasses import dataclass
from pathlib import Path

from stages import catalog
from stages.lab.checkout import ROOT
from stages.lab.clients.dialects import DIALECTS, Dialect


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


def split(app: str) -> tuple[str, str]:
    """Return the place and the name of `package.module:app` or `path/to/file.py:app`.

    The name is `app` where none is given. A path may have colons of its own.
    """
    place, _, name = app.rpartition(":")
    if not place or name.endswith(".py"):
        place, name = app, ""
    return place, name or "app"


def find(name: str | int) -> Target:
    """Return the target of a stage number, a stem, a wrong turn's stem, or a path to a .py file.

    Behind the path, `:NAME` says which app of the file; otherwise it is `app`. Raises TargetError.
    """
    name = str(name)
    place, app = split(name)
    path = Path(place).resolve()
    address = f"{path}:{app}"
    for entry in (*catalog.STAGES, *catalog.WRONG_TURNS):
        number = str(entry.number) if isinstance(entry, catalog.Stage) else None
        if name in (number, entry.stem) or address == _address_of(entry):
            return Target(entry.stem, entry.app, DIALECTS[entry.dialect], entry.stem)
    if path.suffix != ".py":
        raise TargetError(f"{name!r} is no stage and no file. {_what_there_is()}")
    if not path.is_file():
        raise TargetError(
            f"There is no file {place}, as seen from {Path.cwd()}. {_what_there_is()}"
        )
    return Target(place, address, DIALECTS["plain"])  # reads named events as well


def _address_of(entry: catalog.Stage | catalog.WrongTurn) -> str:
    module, app = split(entry.app)
    return f"{ROOT / module.replace('.', '/')}.py:{app}"


def _what_there_is() -> str:
    stages = ", ".join(f"{stage.number} ({stage.stem})" for stage in catalog.STAGES)
    turns = ", ".join(turn.stem for turn in catalog.WRONG_TURNS)
    return f"Stages: {stages}. Wrong turns: {turns}. Or a path that ends in .py."
