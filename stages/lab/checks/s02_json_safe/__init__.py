"""The exercises of s02: encode an event, turn a failure into a status, build the stage."""

from collections.abc import Callable, Mapping
from typing import Any

from stages.lab.checks.s02_json_safe import events
from stages.lab.exercises.attempt import calling, show
from stages.lab.exercises.build import Build
from stages.lab.exercises.exercise import Short
from stages.lab.exercises.outcome import NotYet


def judge_encoder(encode: Callable[[Any, Any], Any]) -> str:
    """Encode every document and read it as a client does; then try the names."""
    cases = events.EVENTS
    for case in cases:
        with calling(case.call, events.told((case,)), case.rule):
            wire = encode(case.name, case.document)
        events.check(case.call, wire, (case,))
    first, second = cases[:2]
    call, rule = f"{first.call} + {second.call}", events.FORM
    with calling(call, events.told((first, second)), rule):
        wire = encode(first.name, first.document) + encode(second.name, second.document)
    events.check(call, wire, (first, second))
    for name, rule in events.NAMES.items():
        _must_refuse(encode, name, rule)
    return (
        f"All {len(cases)} documents arrive as they were, each in one event of ASCII, and "
        f"{len(events.NAMES)} names are refused."
    )


def _must_refuse(encode: Callable[[Any, Any], Any], name: str, rule: str) -> None:
    call = f"encode({name!r}, {{}})"
    with calling(call, "ValueError", rule):
        try:
            got = encode(name, {})
        except ValueError:
            return
    raise NotYet(call, show(got), "ValueError", rule, events.in_the_name(name, got))


encoder = Short(
    stem="s02_json_safe",
    name="encoder",
    answer="encode",
    minutes=10,
    difficulty="easy",
    judge=judge_encoder,
    hints=(
        "An event is three lines here, and the last one is blank. What can the text of a token "
        "change in the first two, once the document is JSON? What can the name change?",
        "`json.dumps` as it comes writes one line, in ASCII; `ensure_ascii=False` and `indent` "
        "take that away. `str.encode('ascii')` raises UnicodeEncodeError, which is a ValueError, "
        "so a name that is not ASCII needs no check of its own.",
        'Raise ValueError when the name is empty, or has "\\r" or "\\n" in it. Then return '
        'f"event: {event}\\ndata: {json.dumps(document)}\\n\\n".encode("ascii").',
    ),
    or_else="CRLF for the line ends is right as well, and so is a document that is written without "
    "spaces. `allow_nan=False` is a good addition: NaN is no JSON, and a browser cannot read it.",
)


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
    answer="answer_for",
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

build = Build(
    number=2,
    minutes=75,
    difficulty="hard",
    hints=(
        "Look at three places of the naive server. `events` writes text into the format, and an "
        "f-string keeps nothing apart. The response, and with it status 200, begins before "
        "anybody has asked the upstream. And the loop ends in one way only, whether the model "
        "has said that it is done or the connection was closed.",
        "`EventSourceResponse` of sse-starlette takes dicts with `event` and `data`, and sends "
        "comments every `ping` seconds; `json.dumps` makes the data. What is awaited in the "
        "handler raises before there is a response, and `@app.exception_handler(APIError)` makes "
        "a status of it; so does one for `RequestValidationError`, once a pydantic model says "
        "what a request is. `AsyncOpenAI(max_retries=0)` hands on a refusal at once. "
        "`stream_options={'include_usage': True}` asks for the usage; its chunk has no choices.",
        "The shape of the generator, with `finish_reason` and `usage` set in the loop, and an "
        "`event` and a `problem` of your own:\n\n"
        "    try:\n"
        "        async for chunk in stream:\n"
        "            for choice in chunk.choices:  # token events\n"
        "                ...\n"
        "        if finish_reason is None:\n"
        "            raise EOFError\n"
        "    except Exception as exc:  # to the log with it\n"
        "        yield event('error', **problem('upstream_failed', 'The answer broke off.'))\n"
        "    else:\n"
        "        yield event('done', finish_reason=finish_reason, usage=usage)\n\n"
        "The handler gets a ChatRequest, awaits `create`, and returns "
        "`EventSourceResponse(events(stream), ping=PING_S)` with PING_S from the environment.",
    ),
)

EXERCISES: tuple[Short | Build, ...] = (encoder, statuses, build)
