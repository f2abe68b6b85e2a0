"""Exercises for the tests of the lab's own machinery: one judge for each thing that can happen."""

import asyncio
from typing import Any

from stages.lab.exercises.attempt import calling, show
from stages.lab.exercises.exercise import Short
from stages.lab.exercises.outcome import NotYet

RULE = "Twice a number is that number twice."
HINTS = ("Think of a number.", "Two of them.", "number * 2")


def judge_double(double: Any) -> str:
    call, expected = "double(21)", "42"
    with calling(call, expected, RULE):
        got = double(21)
    if got != 42:
        raise NotYet(call, show(got), expected, RULE)
    return "21 became 42."


async def judge_wait(wait: Any) -> str:
    with calling("await wait()", "an end", "It ends."):
        await asyncio.shield(asyncio.ensure_future(wait()))
    return "It ended."


def judge_eager(double: Any) -> str:
    return f"21 became {double(21)}."  # no call is named


def judge_broken(answer: Any) -> str:
    raise KeyError(f"no judge for {answer}")


def judge_deep(answer: Any, depth: int = 0) -> str:
    # Two functions in turn: of one that calls itself, a traceback shows three lines only.
    return turn(answer, depth)


def turn(answer: Any, depth: int) -> str:
    if depth == 30:
        raise RecursionError("a judge that is too deep")
    return judge_deep(answer, depth + 1)


def short(name: str, stub: str, judge: Any, deadline_s: float = 5.0) -> Short:
    return Short(
        stem="s01_naive",
        name=name,
        stub=stub,
        minutes=1,
        difficulty="easy",
        judge=judge,
        hints=HINTS,
        or_else="`number + number` is right, too.",
        deadline_s=deadline_s,
    )


doubling = short("doubling", "double", judge_double)
hasty = short("hasty", "double", judge_double, deadline_s=0.5)
waiting = short("waiting", "wait", judge_wait, deadline_s=0.5)
broken = short("broken", "double", judge_broken)
deep = short("deep", "double", judge_deep)
eager = short("eager", "double", judge_eager)
