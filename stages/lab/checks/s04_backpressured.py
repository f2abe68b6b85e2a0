"""The exercises of s04."""

from stages.lab.build import Build

build = Build(
    number=4,
    minutes=60,
    difficulty="hard",
    hints=("to be written", "to be written", "to be written"),
)

EXERCISES = (build,)
