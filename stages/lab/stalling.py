"""Stalling: a client asks and reads nothing, until the upstream can send nothing more."""

import asyncio
import time

from stages.lab.bench import Bench
from stages.lab.leaving import COME_S
from stages.lab.ledger import Entry

STALL_S = 0.3  # a firehose that sends nothing for so long is held up, not slow


async def stalled(bench: Bench, prompt: str) -> Entry | None:
    """Wait until the upstream has sent nothing for STALL_S after its first token.

    Returns its entry, or None when it still sends after COME_S.
    """
    before = -1
    deadline_s = time.monotonic() + COME_S
    while time.monotonic() < deadline_s:
        entries = await bench.entries(prompt)
        if entries and entries[-1].sent_bytes == before:
            return entries[-1]
        before = entries[-1].sent_bytes if entries and entries[-1].tokens else -1
        await asyncio.sleep(STALL_S)  # the interval over which "nothing" is measured
    return None
