"""The exercises of s02: encode an event, turn a failure into a status, build the stage."""

from stages.lab.checks.s02_json_safe.build import build as build
from stages.lab.checks.s02_json_safe.encoder import encoder as encoder
from stages.lab.checks.s02_json_safe.statuses import statuses as statuses
from stages.lab.exercises.build import Build
from stages.lab.exercises.exercise import Short

EXERCISES: tuple[Short | Build, ...] = (encoder, statuses, build)
