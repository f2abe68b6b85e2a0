"""The cases of a stamp: what is posted, what must come back, and the rules of ASGI."""

from dataclasses import dataclass

ANSWER_FILE = "STAGES_ANSWER_FILE"  # the variable that tells the app (`stamped`) where the class is
PURPOSE = "a failure of the app, on purpose"
WAIT_S = 1.5  # for what should come in milliseconds; the rest is for a busy machine
NAME, VALUE = "x-served-by", "stages"

WWW = "https://asgi.readthedocs.io/en/latest/specs/www.html"
STARLETTE = "https://www.starlette.io/middleware/"
START = (
    f"The headers of a response go out with `http.response.start`: {WWW}#response-start-send-event"
)
MADE = f"A middleware is made with the app that it stands before: {STARLETTE}#pure-asgi-middleware"
KEPT = (
    "A middleware adds to the list of headers and keeps what is there. It is a list because a name "
    "may come twice, as set-cookie does: https://www.rfc-editor.org/rfc/rfc6265#section-3"
)
REQUEST = (
    "Each request message comes once. What the middleware receives, the app does not: "
    f"{STARLETTE}#pure-asgi-middleware"
)
ERRORS = f"An error is a response, too, with a start message of its own: {WWW}#http"
BARE = f"`headers` may be left out of `http.response.start`: {WWW}#response-start-send-event"
LIFESPAN = (
    "A middleware passes on every scope that it has no business with, lifespan too: "
    "https://asgi.readthedocs.io/en/latest/specs/lifespan.html"
)
SOCKET = f"A websocket is no HTTP response, and its messages stay as they are: {WWW}#websocket"
PIECES = (
    "Each body message goes out as it comes; a stream that is collected first is no stream: "
    f"{WWW}#response-body-send-event"
)
SHARED = (
    "One object serves all requests at once. What belongs to one request stays in its call, and "
    f"not on `self`: {STARLETTE}#per-request-state"
)
LEAVE = (
    "The app asks `receive` for the leave, so it gets the server's own, at any time: "
    f"{WWW}#disconnect-receive-event"
)
HIDDEN = (
    "BaseHTTPMiddleware gives the app a `receive` of its own, which does not say it to a handler "
    f"that only looks: {STARLETTE}#limitations"
)


@dataclass(frozen=True)
class Case:
    """A POST of `hello`, and what must come back."""

    name: str
    path: str
    status: int
    rule: str
    body: bytes | None = None
    keeps: tuple[str, ...] = ()


CASES = (
    Case("an answer of the app", "/plain", 200, START),
    Case(
        "an answer with headers of its own",
        "/plain",
        200,
        KEPT,
        keeps=(
            "content-type: text/plain; charset=utf-8",
            "set-cookie: one=1; Path=/; SameSite=lax",
            "set-cookie: two=2; Path=/; SameSite=lax",
        ),
    ),
    Case("a request with a body", "/plain", 200, REQUEST, body=b"you said hello"),
    Case("a path that there is not", "/nowhere", 404, ERRORS),
    Case("a failure in the app", "/fails", 500, ERRORS),
    Case("a start without headers", "/bare", 204, BARE),
)
