"""The exercises of s05: a write that survives every cancellation, the stage, a drain at its end."""

from stages.lab.checks.s05_shielded_usage.build import build as build
from stages.lab.checks.s05_shielded_usage.drained_shutdown import (
    drained_shutdown as drained_shutdown,
)
from stages.lab.checks.s05_shielded_usage.finished_write import finished_write as finished_write

EXERCISES = (finished_write, build, drained_shutdown)
