"""The exercise `build` of s06: its hints. What it asks for, the probes say."""

from stages.lab.exercises.build import Build

BUILD = """The shape:

    # opened
    slots.acquire_nowait()
    IN_FLIGHT.inc()
    try:
        ...  # as before
    finally:
        record.count()  # the outcome, the duration, the tokens
        await record.finish()
        IN_FLIGHT.dec()
        slots.release()

    # events
    yield event("token", index=record.events, text=text)
    record.sent()  # reads the clock; the first of them against the acceptance"""

build = Build(
    number=6,
    minutes=90,
    difficulty="hard",
    hints=(
        "Look at `opened` and its `finally`: every stream comes by there once, with its outcome "
        "known, and the slot is taken and given back there. For the time of the first token, look "
        "at `events`: what does a generator know when it goes on after its `yield`?",
        "prometheus_client: `Counter`, `Gauge` and `Histogram` at module level, and "
        "`generate_latest` behind GET /metrics. contextvars: one `ContextVar` for the id, set by a "
        "middleware that is plain ASGI and wraps `send` to add the header to "
        "`http.response.start`. For the log: `type(exc).__name__` and `status_code`, never "
        "`str(exc)` and never `exc_info`.",
        BUILD,
    ),
)
