"""Our solutions to the short exercises of s04."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing


async def relay(upstream: AsyncGenerator[str, None], size: int) -> AsyncGenerator[str, None]:
    """Yield every token of `upstream`, read ahead into a queue of `size` by a task of its own."""
    queue = asyncio.Queue[str | Exception | None](size)

    async def read() -> None:
        try:
            async with aclosing(upstream):  # cancelled in `put`, this task is not in the upstream
                async for token in upstream:
                    await queue.put(token)
        except Exception as exc:
            await queue.put(exc)  # behind the tokens that came before it
        else:
            await queue.put(None)

    reader = asyncio.create_task(read())  # a task group would cancel the consumer at our yield
    try:
        while isinstance(item := await queue.get(), str):
            yield item
        if item is not None:
            raise item
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def drain(queue: asyncio.Queue[str | None]) -> tuple[str, bool]:
    """Wait for one item, then take what is there; returns the text, and whether None was met."""
    item, texts = await queue.get(), []  # the only wait: a cancellation finds our hands empty
    while item is not None:
        texts.append(item)
        if queue.empty():
            break
        item = queue.get_nowait()
    return "".join(texts), item is None
