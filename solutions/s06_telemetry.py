"""Our solutions to the short exercises of s06."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import anyio
from prometheus_client import Gauge


def latencies(start_s: float, tokens: list[tuple[float, str]]) -> dict[str, Any]:
    """Return TTFT, TPOT and ITL of a stream, in seconds."""
    times = [at_s for at_s, text in tokens if text]  # an empty text is no token
    itl_s = [later - earlier for earlier, later in pairwise(times)]
    return {
        "ttft_s": times[0] - start_s if times else None,
        "tpot_s": (times[-1] - times[0]) / len(itl_s) if itl_s else None,
        "itl_s": itl_s,
    }


class Streams:
    """Admits up to `limit` streams at a time, and owns the gauge of those that run."""

    def __init__(self, gauge: Gauge, limit: int) -> None:
        self.gauge, self.slots = gauge, anyio.Semaphore(limit)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Hold a slot while a stream runs; raises anyio.WouldBlock when there is none."""
        self.slots.acquire_nowait()
        self.gauge.inc()
        try:  # no await before it and none in its finally: a cancellation would come there
            yield
        finally:
            self.gauge.dec()
            self.slots.release()
