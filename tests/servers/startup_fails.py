"""Says at start-up that it cannot serve."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    raise RuntimeError("the database is down")
    yield


app = Starlette(lifespan=lifespan)
