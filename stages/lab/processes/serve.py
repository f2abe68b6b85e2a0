"""Serve: any ASGI app under real uvicorn, in a process of its own, on a port of its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from stages.lab.processes.process import GRACE_S, READY_S, Process

API_KEY = "sk-scripted"  # the SDK wants one; nothing checks it

# What uvicorn runs on: its parser of HTTP and its event loop. They are always named: its default
# takes httptools and uvloop where they are installed, and would measure another server there.
ENGINES = {"asyncio": ("h11", "asyncio"), "uvloop": ("httptools", "uvloop")}


@dataclass(frozen=True)
class ServerOptions:
    """The options of a server under test.

    `middleware` wraps the app in a BaseHTTPMiddleware, `asgi_2_4` presents the server as one of
    ASGI spec 2.4, `collector` is the garbage collector, `sndbuf_bytes` is `SO_SNDBUF` of the
    listening socket, which accepted sockets inherit, `env` has variables of the environment, and
    `stop_s` is uvicorn's `--timeout-graceful-shutdown`. `engine` is one of ENGINES; raises
    ValueError for another.
    """

    middleware: bool = False
    asgi_2_4: bool = False
    collector: bool = True
    sndbuf_bytes: int | None = None
    env: tuple[tuple[str, str], ...] = ()
    stop_s: int | None = None
    engine: str = "asyncio"

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ValueError(
                f"There is no engine {self.engine!r}. There are: {', '.join(ENGINES)}."
            )

    def arguments(self) -> list[str]:
        """Return the options as the arguments of `stages.lab.processes.host`."""
        return [
            *(["--middleware"] if self.middleware else []),
            *(["--asgi-2.4"] if self.asgi_2_4 else []),
            *([] if self.collector else ["--no-collector"]),
            *([f"--stop-s={self.stop_s}"] if self.stop_s is not None else []),
            *("--engine", self.engine),
        ]


PLAIN = ServerOptions()


def upstream(*, sndbuf_bytes: int | None = None, ready_s: float = READY_S) -> Process:
    """Return the scripted upstream as a context manager; inside, it runs at `.url`."""
    return Process(
        "The scripted upstream",
        ["stages.lab.upstream.server"],
        sndbuf_bytes=sndbuf_bytes,
        ready_s=ready_s,
    )


def serve(
    target: str,
    upstream_url: str,
    options: ServerOptions = PLAIN,
    *,
    env: Mapping[str, str] | None = None,
    ready_s: float = READY_S,
    grace_s: float = GRACE_S,
    must_end: bool = True,
) -> Process:
    """Return a server as a context manager; inside, it is ready at `.url`.

    `target` is `package.module:app` or `path/to/file.py:app`. A file is imported as `uvicorn` does
    in the file's own folder, so it finds its neighbours. Raises ProcessError, with the end of the
    server's log, when the server is not ready after `ready_s` or ends before; and on leaving the
    context when SIGTERM and `grace_s` were not enough to end it, unless `must_end` is false.
    """
    return Process(
        f"The server {target}",
        ["stages.lab.processes.host", target, *options.arguments()],
        env={
            "OPENAI_BASE_URL": f"{upstream_url}/v1",
            "OPENAI_API_KEY": API_KEY,
            # A proxy on the way would be measured too. Lower case wins where both are set, and with
            # less than a star the SDK refuses to start for a SOCKS proxy that it would not use.
            "NO_PROXY": "*",
            "no_proxy": "*",
            **(env or {}),
            **dict(options.env),
        },
        sndbuf_bytes=options.sndbuf_bytes,
        ready_s=ready_s,
        grace_s=grace_s,
        must_end=must_end,
    )
