"""What the parent of warm starts imports, so that nobody waits for it again. Never a target."""

import importlib
from contextlib import suppress

# What stages import, as they start and for their first answer, and what helpers import. None of it
# starts a thread, as numpy does. Where one is not installed, a stage misses it as ever.
LIBRARIES = (
    *("anyio._backends._asyncio", "anyio.streams.memory", "concurrent.futures.thread", "certifi"),
    *("cloudpickle", "httpx", "httpcore._async.http_proxy", "httpx2", "httpcore2", "truststore"),
    *("openai.types.chat", "openai.resources.chat.completions", "openai.lib.streaming.chat"),
    *("fastapi.responses", "fastapi.telemetry._runtime", "starlette.middleware.base", "psutil"),
    *("uvicorn.lifespan.on", "uvicorn.loops.asyncio", "uvicorn.protocols.http.h11_impl"),
    *("uvicorn.loops.uvloop", "uvicorn.protocols.http.httptools_impl", "sse_starlette"),
    *("uvicorn.protocols.websockets.auto", "uvicorn.protocols.websockets.websockets_sansio_impl"),
    *("sqlalchemy.ext.asyncio", "sqlalchemy.dialects.sqlite.aiosqlite", "aiosqlite", "zoneinfo"),
    *("argparse", "pydantic.v1"),  # fastapi asks that what it is given is nothing of the latter
    *("sqlalchemy.dialects.postgresql.asyncpg", "asyncpg", "prometheus_client.multiprocess"),
)
# Not the helpers themselves: they run as `__main__`. No stage is among what these import.
OURS = (
    *("checks", "exercises.build", "exercises.exam", "matrix.lanes", "upstream.connection"),
    *("processes.census", "processes.targets", "upstream.wires.chat_completions"),
)


def load() -> None:
    """Import what helpers and stages need."""
    for name in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)
    for name in OURS:
        importlib.import_module(f"stages.lab.{name}")
    importlib.import_module("stages.lab.probes").all_probes()
