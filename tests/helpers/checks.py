"""Checks several at a time: many a wrong answer is told so only when a deadline is over.

Only wrong answers: what is right is noted in a file, one after the other.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from stages.lab.exercises.exercise import Short
from stages.lab.exercises.outcome import Outcome

AT_ONCE = 4  # examiners wait more than they compute, and have room for a busy machine

Check = Callable[[Any], Outcome]


def at_once(request: pytest.FixtureRequest, exercise: Short, parameter: str) -> Iterator[Check]:
    """Give what returns the outcome of a wrong answer.

    All are checked that the tests of this run have in `parameter` and ask of the fixture that this
    is: `yield from` it in one of scope "module". A test waits for its own.
    """
    wrong = [
        getattr(item, "callspec").params[parameter]  # noqa: B009  # only parametrized ones have it
        for item in request.session.items
        if item.path == request.path
        if request.fixturename in getattr(item, "fixturenames", ())
    ]
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        told = {answer: pool.submit(exercise.check, answer) for answer in wrong}
        yield lambda answer: told[answer].result()
    finally:
        pool.shutdown(cancel_futures=True)
