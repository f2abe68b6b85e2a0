"""Probes: experiments against a running server that each answer one yes-or-no question.

A probe is an async function that takes a `Bench` and returns a `Verdict`. Its docstring is the
question, the rule, and where the rule comes from. There is one module for each stage that
introduces probes, with the stage's stem, or a package with a module for each subject.
"""

import importlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stages import catalog
from stages.lab.bench.bench import Bench
from stages.lab.bench.verdict import Verdict

Measure = Callable[[Bench], Awaitable[Verdict]]


class ProbeError(LookupError):
    """A name that is no probe; the message lists those that there are."""


@dataclass(frozen=True)
class Probe:
    """A named experiment. `introduced_by` is the number of the stage that makes it green."""

    name: str
    introduced_by: int
    measure: Measure

    @property
    def question(self) -> str:
        """The first line of the docstring."""
        return (self.measure.__doc__ or "").strip().splitlines()[0]

    @property
    def rule(self) -> str:
        """What the docstring says must hold, in one line."""
        _, _, rest = (self.measure.__doc__ or "").partition("Rule: ")
        return " ".join(rest.partition("Source: ")[0].split())


def _probes_of(stage: catalog.Stage) -> list[Probe]:
    try:
        module = importlib.import_module(f"{__name__}.{stage.stem}")
    except ModuleNotFoundError as exc:
        if exc.name != f"{__name__}.{stage.stem}":
            raise
        return []  # the first stage introduces none
    measures: tuple[Measure, ...] = module.PROBES
    return [Probe(_name(measure), stage.number, measure) for measure in measures]


def _name(measure: Measure) -> str:
    """Return the name of a probe: hyphens for underscores, but `asgi_2_4` is `asgi-2.4`."""
    return re.sub(r"(?<=\d)_(?=\d)", ".", measure.__name__).replace("_", "-")


def all_probes(up_to: int | None = None) -> list[Probe]:
    """Return the probes in the order of the stages that introduce them, up to a stage's number."""
    stages = [stage for stage in catalog.STAGES if up_to is None or stage.number <= up_to]
    return [probe for stage in stages for probe in _probes_of(stage)]


def of_wrong_turn(turn: catalog.WrongTurn) -> list[Probe]:
    """Return the probes up to the stage that it imitates, and those of later ones that it fails."""
    number = int(turn.stem[1:3])
    return [one for one in all_probes() if one.introduced_by <= number or one.name in turn.fails]


def find(name: str) -> Probe:
    """Return the probe of this name; raises ProbeError."""
    probes = {probe.name: probe for probe in all_probes()}
    if name not in probes:
        raise ProbeError(f"There is no probe {name!r}. There are: {', '.join(probes)}.")
    return probes[name]
