"""The exercises of s06: the times of a stream, the stage, a gauge with one owner."""

from stages.lab.checks.s06_telemetry.build import build as build
from stages.lab.checks.s06_telemetry.gauge_owner import gauge_owner as gauge_owner
from stages.lab.checks.s06_telemetry.timing import timing as timing

EXERCISES = (timing, build, gauge_owner)
