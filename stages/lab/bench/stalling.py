"""Stalling: a client asks and reads nothing, until the upstream can send nothing more.

When the upstream is held up is what the ledger says: the kernel took its last byte then. On a busy
machine that is later than when the client stopped, by what the server and the upstream had to wait
for themselves until the buffers between them were full.
"""

import asyncio
import time

from stages.lab.bench.bench import Bench
from stages.lab.bench.leaving import COME_S
from stages.lab.upstream.ledger import Entry

STALL_S = 0.3  # a firehose that sends nothing for so long is held up, not slow


async def stalled(bench: Bench, prompt: str) -> Entry | None:
    """Wait until the upstream has sent nothing for STALL_S after its first token, or has ended.

    Returns its entry, or None when it still sends after COME_S.
    """
    begun_s = time.monotonic()
    while bench.witness.left_s(begun_s, COME_S):
        entries = await bench.entries(prompt)
        rest_s = STALL_S
        if entries and entries[-1].tokens and (last_s := entries[-1].last_s) is not None:
            rest_s = bench.witness.left_s(last_s, STALL_S)
            if not rest_s:
                return entries[-1]
        await asyncio.sleep(rest_s)  # the interval over which "nothing" is measured
    return None


async def until_closed(bench: Bench, prompt: str, bound_s: float) -> Entry | None:
    """Return the upstream's entry once it was closed, has ended, or is open too long.

    That is `bound_s` after the kernel took its last byte: until then nothing holds it up. An
    upstream that still sends after COME_S is returned as it is.
    """
    since_s = begun_s = time.monotonic()
    entry = None
    while rest_s := bench.witness.left_s(since_s, bound_s):
        entries = await bench.entries(prompt, "left", 1, rest_s)
        entry = entries[-1] if entries else None
        if entry is not None and (entry.left or entry.ended):
            break
        if not bench.witness.left_s(begun_s, COME_S):
            break
        since_s = max(since_s, (entry and entry.last_s) or since_s)
    return entry
