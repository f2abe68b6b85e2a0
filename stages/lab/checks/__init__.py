"""Checks: the exercises of each stage, in a package with the stage's stem and a module for each.

A package has one `Build` called `build`, from the second stage on, and its short exercises under
their names. `all_exercises` finds them in the order of its `EXERCISES`. An exercise has the
name of its module and hides it: `from stages.lab.checks.s01_naive import parser` is the exercise.
What else its module holds, `from stages.lab.checks.s01_naive.parser import feeds` gives.
"""

import importlib

from stages import catalog
from stages.lab.exercises.build import Build
from stages.lab.exercises.exercise import Short


def all_exercises() -> list[Short | Build]:
    """Return the exercises of all stages, in the order in which the notebooks have them."""
    return [exercise for stage in catalog.STAGES for exercise in of_stage(stage.stem)]


def of_stage(stem: str) -> list[Short | Build]:
    """Return the exercises of a stage."""
    module = importlib.import_module(f"{__name__}.{stem}")
    exercises: tuple[Short | Build, ...] = module.EXERCISES
    return list(exercises)
