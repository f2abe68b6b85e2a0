"""The exercises of s03."""

from stages.lab.build import Build

build = Build(
    number=3,
    minutes=60,
    difficulty="hard",
    hints=("to be written", "to be written", "to be written"),
)

EXERCISES = (build,)
