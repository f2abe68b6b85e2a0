"""The exercises of s05."""

from stages.lab.build import Build

build = Build(
    number=5,
    minutes=60,
    difficulty="hard",
    hints=("to be written", "to be written", "to be written"),
)

EXERCISES = (build,)
