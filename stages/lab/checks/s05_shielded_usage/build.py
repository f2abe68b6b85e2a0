"""The exercise `build` of s05: its hints. What it asks for, the probes say."""

from stages.lab.exercises.build import Build

BUILD = """The shape:

    # opened
    slots.acquire_nowait()
    try:
        await record.admit()  # INSERT, with status 'streaming'
        ...  # as before, and a task beside read that waits for the shutdown_event
    except asyncio.CancelledError:
        record.outcome = "server_stopped"
        raise
    finally:
        try:
            await record.finish()  # UPDATE, bounded, and awaited to its end, as in the exercise
        finally:
            slots.release()

    # lifespan, behind its yield
    with anyio.move_on_after(DRAIN_S):
        ...  # take every slot: each comes back when its row is final"""

build = Build(
    number=5,
    minutes=90,
    difficulty="hard",
    hints=(
        "Look at where `slots.release()` stands: in `opened`, the dependency. There every stream "
        "comes by once, on every path, when its outcome is known, and nothing is cancelled. The "
        "row begins where the slot is taken, and ends where it is given back.",
        "SQLAlchemy: `create_async_engine(DATABASE_URL)` and `async with engine.begin() as "
        "connection` for each statement, never for a stream. anyio: `fail_after(WRITE_S)` around "
        "it, and `except Exception` around that. Wait for it as `finish` in the first exercise "
        "does: uvicorn may cancel in the middle of a write. sse-starlette: "
        "`shutdown_event` and `shutdown_grace_period` of `EventSourceResponse`. FastAPI: "
        "`lifespan`, behind its `yield`.",
        BUILD,
    ),
)
