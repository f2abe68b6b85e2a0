"""The exercises of s01: break an event stream, and read one."""

from stages.lab.checks.s01_naive.attack import attack as attack
from stages.lab.checks.s01_naive.parser import parser as parser
from stages.lab.exercises.exercise import Short

EXERCISES: tuple[Short, ...] = (attack, parser)
