"""The exercise `statuses`: what the real SDK raises when its provider fails, in every way."""

from collections.abc import Callable, Mapping
from typing import Any

from stages.lab.exercises.attempt import calling, show
from stages.lab.exercises.exercise import Short
from stages.lab.exercises.outcome import NotYet


async def judge_statuses(answer_for: Callable[[BaseException], Any]) -> str:
    """Have the real SDK fail in every way, and hand over what it raises."""
    # It loads the SDK: 0.6 s, and only this check needs it.
    from stages.lab.checks.s02_json_safe import failures

    raised = await failures.failures()
    for case, exc in zip(failures.CASES, raised, strict=True):
        call = f"answer_for(exc), exc is {_named(exc)}: the provider {case.does}"
        expected = f"({case.status}, {dict(case.headers)})"
        with calling(call, expected, case.rule):
            got = answer_for(exc)
        if _plainly(got) != (case.status, {name.lower(): v for name, v in case.headers.items()}):
            kinds = [one.__name__ for one in type(exc).__mro__]
            at = " > ".join(reversed(kinds[: kinds.index("APIError") + 1]))
            raise NotYet(call, show(got), expected, case.rule, at)
    for other in failures.OTHERS:
        _must_raise(answer_for, other, failures.OTHER)
    return (
        f"All {len(raised)} failures become the right status and headers, and "
        f"{len(failures.OTHERS)} exceptions that are no refusal are raised again."
    )


def _named(exc: BaseException) -> str:
    name = type(exc).__name__
    return f"an {name}" if name[0] in "AEIOU" else f"a {name}"


def _plainly(got: object) -> object:
    """Return an answer with the names of its headers in lower case: they have no case."""
    match got:
        case (status, Mapping() as headers):
            return status, {str(name).lower(): value for name, value in headers.items()}
    return got


def _must_raise(
    answer_for: Callable[[BaseException], Any], other: BaseException, rule: str
) -> None:
    call = f"answer_for({other!r})"
    expected = f"{other!r} itself, raised"
    with calling(call, expected, rule):
        try:
            got = answer_for(other)
        except BaseException as exc:
            if exc is other:
                return
            raise
    raise NotYet(call, show(got), expected, rule)


statuses = Short(
    stem="s02_json_safe",
    name="statuses",
    stub="answer_for",
    minutes=15,
    difficulty="medium",
    judge=judge_statuses,
    hints=(
        "Ask which of the four answers is for the most special kind of exception. Where one class "
        "is a kind of another, the order in which you ask decides.",
        "APITimeoutError is an APIConnectionError, and all are APIError. A RateLimitError has a "
        "`response`, whose `headers` find a name in any case and have `get`; an "
        "APIConnectionError has no `response`, and a plain APIError has neither that nor a status.",
        "Four questions, in this order: isinstance(exc, RateLimitError): 429, and Retry-After if "
        "exc.response.headers.get('retry-after') is there. APITimeoutError: 504. APIError: 502. "
        "Anything else: raise exc.",
    ),
    or_else="A `match` statement with class patterns is right as well. In a server the questions "
    "can be exception handlers: Starlette takes the one for the nearest class, in any order.",
    deadline_s=30.0,
)
