"""The exercises of s04: a queue that does not hang, one event of all that is there, the stage."""

from stages.lab.checks.s04_backpressured.build import build as build
from stages.lab.checks.s04_backpressured.controller import controller as controller
from stages.lab.checks.s04_backpressured.draining import draining as draining

EXERCISES = (controller, draining, build)
