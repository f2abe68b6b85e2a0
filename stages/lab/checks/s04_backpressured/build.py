"""The exercise `build` of s04: its hints. What it asks for, the probes say."""

from stages.lab.exercises.build import Build

build = Build(
    number=4,
    minutes=90,
    difficulty="hard",
    hints=(
        "Ask of each wait in stage 3 who ends it: the one for the upstream, the one in `send`, the "
        "one for a place. Begin with the wait that has a clock already: the SDK's. Only the last "
        "two probes need a second task.",
        "`AsyncOpenAI(timeout=...)` is one read's, and raises `APITimeoutError`. "
        "`EventSourceResponse(send_timeout=...)` cuts a reader that stalls. "
        "`anyio.Semaphore.acquire_nowait` raises `anyio.WouldBlock`, for which FastAPI takes an "
        "exception handler. A task group inside `opened` holds the reader, and an "
        "`anyio.Condition` joins it and `events`.",
        "In `opened`: `slots.acquire_nowait()` first, `slots.release()` in the `finally`; "
        "`async with await ask(body, request) as stream, anyio.create_task_group() as reader:` "
        "`reader.start_soon(read, stream, backlog, record)`, the `yield`, then "
        "`reader.cancel_scope.cancel()`. `read` puts texts, and `backlog.put` waits while the "
        "backlog is full. `events` is `while text := await backlog.take(): yield event(...)`, then "
        "the error or done.",
    ),
)
