"""The child side of `serve`: runs one ASGI app under real uvicorn on a socket that it is given."""

import argparse
import asyncio
import gc
import importlib
import importlib.util
import socket
import sys
import traceback
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any

import uvicorn
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stages.lab.processes.census import report
from stages.lab.processes.process import CENSUS, Handover
from stages.lab.processes.serve import ENGINES, PLAIN
from stages.lab.processes.targets import split


class Server(uvicorn.Server):
    """A uvicorn server that says when it is ready, and gives a census when it is asked."""

    def __init__(self, config: uvicorn.Config, handover: Handover) -> None:
        super().__init__(config)
        self._handover = handover

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then tell the parent."""
        await super().startup(sockets)
        asyncio.get_running_loop().add_signal_handler(CENSUS, self._report)
        self._handover.tell_ready()

    def _report(self) -> None:
        report([connection.transport for connection in self.server_state.connections])


def load(target: str) -> ASGIApp:
    """Return the app of `package.module:app` or `path/to/file.py:app`; `:app` may be left out.

    A module is looked for in the working directory first, as `uvicorn` does. Exits with a message
    when there is no such file or no such app in it.
    """
    place, name = split(target)
    module = _import_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    try:
        app: ASGIApp = attrgetter(name)(module)
    except AttributeError:
        sys.exit(f"{place} has no {name!r}. Call its app so, or say its name: {place}:NAME")
    if not callable(app):
        sys.exit(
            f"{name!r} in {place} is no ASGI app but {app!r:.80}. Say which one is: {place}:NAME"
        )
    return app


def _import_file(path: Path) -> ModuleType:
    """Import a file as `uvicorn` does from the file's own folder: it can import its neighbours."""
    if not path.is_file():
        sys.exit(f"There is no file {path}, as seen from {Path.cwd()}.")
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None, path  # a path that ends in .py always has a spec and a loader
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # where dataclasses look for the types of fields
    spec.loader.exec_module(module)
    return module


def _tell(exc: Exception, target: str) -> None:
    """Print a traceback that starts in the target: what is above it is ours, or the importer's."""
    file, _ = split(target)
    frames = exc.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != file:
        frames = frames.tb_next
    if frames is None and not isinstance(exc, SyntaxError):  # which was found before any frame
        frames = exc.__traceback__
    traceback.print_exception(exc.with_traceback(frames))


def behind_middleware(app: ASGIApp) -> ASGIApp:
    """Wrap an app as `@app.middleware("http")` does."""

    async def pass_on(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    return BaseHTTPMiddleware(app, dispatch=pass_on)


def as_asgi_2_4(app: ASGIApp) -> ASGIApp:
    """Present the server as one of ASGI spec 2.4: a send to a client that has left raises OSError.

    Source: https://asgi.readthedocs.io/en/latest/specs/www.html#disconnected-client-send-exception
    """

    async def presented(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        assert isinstance(send, MethodType), send
        connection: Any = send.__self__  # uvicorn's own, which knows, but raises nothing

        async def told(message: Message) -> None:
            if connection.disconnected:
                raise OSError("The client has left.")
            await send(message)

        await app({**scope, "asgi": {**scope["asgi"], "spec_version": "2.4"}}, receive, told)

    return presented


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m stages.lab.processes.host")
    parser.add_argument("target")
    parser.add_argument("--handover", type=Handover.from_argument, required=True)
    parser.add_argument("--middleware", action="store_true")
    parser.add_argument("--asgi-2.4", dest="asgi_2_4", action="store_true")
    parser.add_argument("--no-collector", action="store_true")
    parser.add_argument("--engine", choices=ENGINES, default=PLAIN.engine)
    parser.add_argument("--stop-s", type=int)
    options = parser.parse_args(argv)
    handover: Handover = options.handover
    listener = handover.accept()
    try:
        app = load(options.target)
    except Exception as exc:
        _tell(exc, options.target)
        sys.exit(1)
    if options.middleware:
        app = behind_middleware(app)
    if options.asgi_2_4:
        app = as_asgi_2_4(app)
    if options.no_collector:
        gc.disable()
    http, loop = ENGINES[options.engine]
    config = uvicorn.Config(app, http=http, loop=loop, timeout_graceful_shutdown=options.stop_s)
    Server(config, handover).run(sockets=[listener])


if __name__ == "__main__":
    main()
