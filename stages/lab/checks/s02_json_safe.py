"""The exercises of s02."""

from stages.lab.build import Build

build = Build(
    number=2,
    minutes=60,
    difficulty="hard",
    hints=("to be written", "to be written", "to be written"),
)

EXERCISES = (build,)
