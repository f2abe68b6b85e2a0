"""The exercises of s03: a call that races a leave, the stage, a middleware that hides nothing."""

from stages.lab.checks.s03_disconnect_aware.build import build as build
from stages.lab.checks.s03_disconnect_aware.middleware import middleware as middleware
from stages.lab.checks.s03_disconnect_aware.race import race as race

EXERCISES = (race, build, middleware)
