"""The exercises of s06."""

from stages.lab.build import Build

build = Build(
    number=6,
    minutes=60,
    difficulty="hard",
    hints=("to be written", "to be written", "to be written"),
)

EXERCISES = (build,)
