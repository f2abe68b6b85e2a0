"""The commands `run` and `upstream`: one server in the foreground, until Ctrl-C.

The server runs in this very process: it ends with the command, however the command ends. The
upstream behind it is a helper process, which ends with its parent, also when that is killed.
"""

import asyncio
import os
import socket
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from stages import catalog
from stages.lab.cli.addresses import bind, curl, url_of
from stages.lab.cli.console import OK, CommandError, UsageError, console, say
from stages.lab.clients.dialects import Stages
from stages.lab.processes import serve
from stages.lab.processes.host import load
from stages.lab.processes.targets import Target, find

RUN_PORT = 8000  # uvicorn's own default
UPSTREAM_PORT = 8001
GRACE_S = 2  # for open streams after Ctrl-C: a whole scripted answer takes 1 s
PROMPT = "What are tokens?"  # its answer has line feeds, which stage 1 loses
REAL_URL = "https://api.openai.com/v1"  # where the SDK goes without OPENAI_BASE_URL


class Server(uvicorn.Server):
    """A uvicorn server that calls `on_ready` when requests can come."""

    def __init__(self, app: ASGIApp, on_ready: Callable[[], None]) -> None:
        colours = False if os.environ.get("NO_COLOR") else None
        http, loop = serve.ENGINES[serve.PLAIN.engine]  # what `probe` measures is what runs
        super().__init__(
            uvicorn.Config(
                app, http=http, loop=loop, use_colors=colours, timeout_graceful_shutdown=GRACE_S
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then tell."""
        await super().startup(sockets)
        self._on_ready()


def run(name: str, *, host: str, port: int | None, real: bool) -> int:
    """Serve a target until Ctrl-C; returns the exit code.

    Behind it is the scripted upstream, or with `real` the provider that the environment names.
    Raises TargetError, UsageError and CommandError.
    """
    target, out = find(name), console()
    provider = real_provider() if real else None
    with bind(host, port, RUN_PORT) as listener, ExitStack() as stack:
        if provider is None:
            provider = _scripted(stack.enter_context(serve.upstream()).url)
        url = url_of(listener)
        command = curl(f"{url}{target.dialect.path}", target.dialect.ask(PROMPT))
        app = imported(target)

        def invite() -> None:
            say(out, ("\n" + target.name, "bold"), " runs at ", (url, "bold"), f"\n{provider}")
            _invite(command, "Ctrl-C stops it. Its log follows.")

        _serve(target, Server(app, invite), listener)
    say(out, "\nStopped.")
    return OK


def _serve(target: Target, server: Server, listener: socket.socket) -> None:
    """Serve until Ctrl-C. Raises CommandError when the server ends by itself."""
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        return
    except SystemExit as exc:  # uvicorn's way to say that the app did not start
        raise CommandError(
            f"{target.name} did not start (exit code {exc.code}). Why stands in its log above; "
            f"probably its lifespan raised."
        ) from exc
    raise CommandError(f"{target.name} ended by itself. Why stands in its log above.")


def upstream(*, host: str, port: int | None) -> int:
    """Run the scripted upstream alone until Ctrl-C; returns the exit code."""
    from stages.lab.upstream.server import Upstream

    out = console()
    with suppress(KeyboardInterrupt), bind(host, port, UPSTREAM_PORT) as listener:
        url = url_of(listener)
        say(out, "The scripted upstream runs at ", (url, "bold"))
        say(out, "It costs nothing and needs no key. A server uses it with these variables:\n")
        print(f"    export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={serve.API_KEY}")
        print(f"    uvicorn {catalog.STAGES[-1].app}", flush=True)
        command = curl(f"{url}/v1/chat/completions", _completion(PROMPT))
        _invite(command, f"What was asked, and how it ended: curl {url}/ledger\nCtrl-C stops it.")
        asyncio.run(Upstream().serve(listener))
    say(out, "\nStopped.")
    return OK


def _completion(prompt: str) -> bytes:
    return Stages().ask(prompt).replace(b"{", b'{"model": "scripted", "stream": true, ', 1)


def _invite(command: str, how_to_stop: str) -> None:
    indented = "\n".join(f"    {text}" for text in command.splitlines())
    print(f"\nTry it in another terminal:\n\n{indented}\n\n{how_to_stop}\n", flush=True)


def _scripted(url: str) -> str:
    """Point the SDK at the scripted upstream; returns what to tell about it."""
    ours = ("OPENAI_API_KEY", "OPENAI_BASE_URL")
    ignored = ", ".join(name for name in ours if os.environ.get(name))
    os.environ.update(
        OPENAI_BASE_URL=f"{url}/v1",
        OPENAI_API_KEY=serve.API_KEY,
        NO_PROXY="127.0.0.1",
        no_proxy="127.0.0.1",  # where both are set, this one counts
    )
    told = f"on the scripted upstream at {url}: no key, no cost"
    return f"{told}\nNot used: {ignored}. With --real they are." if ignored else told


def real_provider() -> str:
    """Return what to tell about the provider that the environment names; raises UsageError."""
    url, key = os.environ.get("OPENAI_BASE_URL"), os.environ.get("OPENAI_API_KEY")
    if not url and not key:
        raise UsageError(
            "--real needs a provider, but neither OPENAI_API_KEY nor OPENAI_BASE_URL is set. "
            "Set one of them, or leave out --real to use the scripted upstream."
        )
    if not key:
        os.environ["OPENAI_API_KEY"] = "none"  # the SDK insists on one, local providers do not
    return f"on the real provider at {url or REAL_URL}: every request may cost money"


def imported(target: Target) -> ASGIApp:
    """Return the app of a target. Raises CommandError with the traceback from its file on."""
    try:
        return load(target.app)
    except SystemExit as exc:
        raise CommandError(str(exc)) from exc
    except Exception as exc:
        trace = traceback.TracebackException.from_exception(exc)
        ours = (str(Path(__file__).parents[1]), "<frozen importlib")
        last = max(i for i, frame in enumerate(trace.stack) if frame.filename.startswith(ours))
        del trace.stack[: last + 1]  # the machinery that imports
        raise CommandError(
            f"{target.name} cannot be imported, so it is not served.\n\n"
            f"{''.join(trace.format())}\n"
            "Mend that, and start it again."
        ) from exc
