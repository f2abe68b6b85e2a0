"""The child side of `serve`: runs one ASGI app under real uvicorn on a socket that it is given."""

import argparse
import gc
import importlib
import importlib.util
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from stages.lab.process import Handover


class Server(uvicorn.Server):
    """A uvicorn server that says when it is ready."""

    def __init__(self, config: uvicorn.Config, handover: Handover) -> None:
        super().__init__(config)
        self._handover = handover

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then tell the parent."""
        await super().startup(sockets)
        self._handover.tell_ready()


def load(target: str) -> ASGIApp:
    """Return the app of `package.module:app` or `path/to/file.py:app`; `:app` may be left out."""
    place, _, name = target.partition(":")
    if not place.endswith(".py"):
        module = importlib.import_module(place)
    else:
        spec = importlib.util.spec_from_file_location(Path(place).stem, place)
        assert spec is not None, place  # a path that ends in .py always has a spec and a loader
        assert spec.loader is not None, place
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    app: ASGIApp = getattr(module, name or "app")
    return app


def behind_middleware(app: ASGIApp) -> ASGIApp:
    """Wrap an app as `@app.middleware("http")` does."""

    async def pass_on(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    return BaseHTTPMiddleware(app, dispatch=pass_on)


def as_asgi_2_4(app: ASGIApp) -> ASGIApp:
    """Present the server as one of ASGI spec 2.4, where `send` is how a disconnect is told.

    Source: https://asgi.readthedocs.io/en/latest/specs/www.html#disconnected-client-send-exception
    """

    async def presented(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "asgi": {**scope["asgi"], "spec_version": "2.4"}}
        await app(scope, receive, send)

    return presented


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m stages.lab.host")
    parser.add_argument("target")
    parser.add_argument("--handover", type=Handover.from_argument, required=True)
    parser.add_argument("--middleware", action="store_true")
    parser.add_argument("--asgi-2.4", dest="asgi_2_4", action="store_true")
    parser.add_argument("--no-collector", action="store_true")
    options = parser.parse_args(argv)
    handover: Handover = options.handover
    listener = handover.accept()
    app = load(options.target)
    if options.middleware:
        app = behind_middleware(app)
    if options.asgi_2_4:
        app = as_asgi_2_4(app)
    if options.no_collector:
        gc.disable()
    Server(uvicorn.Config(app), handover).run(sockets=[listener])


if __name__ == "__main__":
    main()
