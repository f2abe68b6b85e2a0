"""The exercise `build` of s03: its hints. What it asks for, the probes say."""

from stages.lab.exercises.build import Build

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
