"""The exercises of s01."""

from stages.lab.exercise import Short

EXERCISES: tuple[Short, ...] = ()
