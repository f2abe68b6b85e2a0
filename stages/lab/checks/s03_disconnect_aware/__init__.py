"""The exercises of s03: a call that races a leave, a middleware that hides nothing."""

from typing import Any

from stages.lab.checks.s03_disconnect_aware import races as races
from stages.lab.checks.s03_disconnect_aware import stamps as stamps
from stages.lab.exercises.build import Build
from stages.lab.exercises.exercise import Short

STEM = "s03_disconnect_aware"


async def judge_race(unless_left: Any) -> str:
    """Run every case, then look whether anything computes while both wait."""
    for case in races.CASES:
        await races.hold(unless_left, case)
    await races.hold(unless_left, races.CASES[0], look=True)
    return f"All {len(races.CASES)} races ended as they should, and nothing was left running."


race = Short(
    stem=STEM,
    name="race",
    answer="unless_left",
    minutes=25,
    difficulty="hard",
    judge=judge_race,
    hints=(
        "Two coroutines run at the same time, so one of them at least needs a task. On each way "
        "out, a result, a leave, an exception, a cancellation: who cancels that task, and who "
        "awaits its end?",
        "A task group of anyio awaits its tasks on every way out. `group.cancel_scope.cancel()` "
        "cancels all in it, the call that you await in its body, too. What is raised in the body "
        "comes out in an ExceptionGroup, so catch it there and raise it behind the group.",
        "`async with anyio.create_task_group() as race:` and in it `race.start_soon(watch)`, where "
        "`watch` awaits `left()` and then cancels the scope. Below that "
        "`try: answer = await call()`, `except Exception as exc: failure = exc`, and then cancel "
        "the scope. Behind the group: raise the failure if there is one, else return the answer.",
    ),
    or_else="Right, too: two tasks and `asyncio.wait(..., return_when=FIRST_COMPLETED)`, with a "
    "`finally` that cancels both and awaits `asyncio.gather(..., return_exceptions=True)`. Then "
    "the result of the call, or None when it was cancelled.",
)


async def judge_middleware(stamp: Any) -> str:
    """Serve a small app behind the class, and ask for everything."""
    await stamps.with_server(stamp, stamps.look)
    return (
        f"{len(stamps.CASES)} responses had the header once, a websocket none, a stream came in "
        "pieces, and the app saw both leaves."
    )


middleware = Short(
    stem=STEM,
    name="middleware",
    answer="Stamp",
    minutes=20,
    difficulty="medium",
    judge=judge_middleware,
    hints=(
        "An ASGI app is called once for each request, with three things: `scope`, `receive`, "
        "`send`. A header is sent in one message only. Which of the three has to be another one "
        "for the app inside, and which two can be handed on as they are?",
        "Write an inner `async def stamped(message)` and hand it on in place of `send`. It looks "
        "at `message['type']`: `http.response.start` is the one with the status and the headers, "
        "a list of pairs of bytes, which may be left out. All the others go on as they are, at "
        "once. `scope['type']` says whether it is HTTP at all.",
        "`headers = [*message.get('headers', ()), (b'x-served-by', b'stages')]`, then "
        "`message = {**message, 'headers': headers}`, then `await send(message)`. At the end "
        "`await self.app(scope, receive, stamped if scope['type'] == 'http' else send)`.",
    ),
    or_else="Right, too: `starlette.datastructures.MutableHeaders(scope=message)` and its "
    "`append`, which changes the message in place. Its `[...] =` would replace a header of this "
    "name that the app has set.",
    deadline_s=40.0,  # a server starts in 1 s; on a busy machine it takes ten times that
)

build = Build(
    number=3,
    minutes=60,
    difficulty="hard",
    hints=(
        "Look at `chat`: which `await` runs before there is a response? Nobody watches the client "
        "there. And look for who closes `stream` when the generator is left at a `yield`.",
        "Race `client.chat.completions.create(...)` against `await request.receive()` in a task "
        "group of anyio, as in the exercise `race`. Then give the stream one owner: a dependency "
        "of FastAPI with `yield`, which is left when the response has ended, however it ended. "
        "What it holds, an `async with` closes, and what it has to say, a `finally` logs.",
        "`async def opened(body, request)`: `record = Record()`; `try:` "
        "`async with await ask(body, request) as stream: yield stream, record`; "
        "`except APIError: record.outcome = 'upstream_failed'` and `raise`; `finally:` log the "
        "record. A record starts as `client_closed`, and `events` sets the outcome behind its last "
        "`yield`. `chat` takes it by `Depends(opened)` and returns the EventSourceResponse.",
    ),
)

EXERCISES = (race, build, middleware)
