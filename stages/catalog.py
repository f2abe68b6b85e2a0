"""The one list: the stages, the wrong turns, and the verdict that each probe must give on each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stage. `title` is its claim, `fix` is what is new in it, `dialect` how it speaks."""

    number: int
    stem: str
    title: str
    fix: str
    base: str | None
    dialect: str = "stages"

    @property
    def app(self) -> str:
        """What uvicorn runs."""
        return f"stages.{self.stem}:app"


@dataclass(frozen=True)
class WrongTurn:
    """A popular fix that does not hold. `fails` names the probes that show it, and no others do."""

    stem: str
    base: str
    mistake: str
    seen_in: str
    fails: tuple[str, ...]
    dialect: str = "stages"

    @property
    def app(self) -> str:
        """What uvicorn runs."""
        return f"stages.wrong_turns.{self.stem}:app"


STAGES = (
    Stage(
        1,
        "s01_naive",
        "It streams, and it works in the demo",
        "FastAPI, StreamingResponse, AsyncOpenAI and an f-string",
        base=None,
        dialect="plain",
    ),
    Stage(
        2,
        "s02_json_safe",
        "Text and failure both arrive as data",
        "one JSON document an event; a refusal is a status, a failure is an event",
        base="s01_naive",
    ),
    Stage(
        3,
        "s03_disconnect_aware",
        "Whoever opens the upstream closes it, at once, on every path",
        "asking races the client's leave; one owner holds the stream and logs its outcome",
        base="s02_json_safe",
    ),
    Stage(
        4,
        "s04_backpressured",
        "Every wait and every buffer has a bound",
        "a bounded backlog of text; a clock on each side; no more streams than slots",
        base="s03_disconnect_aware",
    ),
    Stage(
        5,
        "s05_shielded_usage",
        "Every stream is accounted for exactly once, however it ends",
        "a row when a stream is admitted, finished by its owner; a stop that waits for it",
        base="s04_backpressured",
    ),
    Stage(
        6,
        "s06_telemetry",
        "You can tell what happened without reading prompts",
        "metrics with one owner; a request id that is the same everywhere; a log without text",
        base="s05_shielded_usage",
    ),
)

WRONG_TURNS = (
    WrongTurn(
        "s02_escape_newlines",
        base="s02_json_safe",
        mistake="replaces line feeds by a backslash and an n, and sends the rest as it is",
        seen_in="answers on question-and-answer sites",
        fails=("text-survives",),
        dialect="escaped",
    ),
    WrongTurn(
        "s02_done_in_finally",
        base="s02_json_safe",
        mistake="says done in a finally, so that the client always gets it",
        seen_in="agent service templates",
        fails=("failure-is-told", "truncation-is-told"),
    ),
    WrongTurn(
        "s02_raise_after_error",
        base="s02_json_safe",
        mistake="tells the error and then raises it, which cuts the connection",
        seen_in="streaming endpoints of chain frameworks",
        fails=("failure-is-told", "truncation-is-told"),
    ),
    WrongTurn(
        "s02_error_text",
        base="s02_json_safe",
        mistake="tells the client what the exception says",
        seen_in="most streaming tutorials that handle errors at all",
        fails=("secrets-stay-in",),
    ),
    WrongTurn(
        "s03_polling",
        base="s03_disconnect_aware",
        mistake="looks for the client between two chunks, and awaits the upstream without a look",
        seen_in="the documentation of streaming libraries, and most answers on the subject",
        fails=(
            "leave-before-headers",
            "leave-before-headers-behind-middleware",
            "outcome-is-recorded",
        ),
    ),
    WrongTurn(
        "s03_detached_reader",
        base="s03_disconnect_aware",
        mistake="reads the upstream in a task of its own, which nobody ends when the client leaves",
        seen_in="tutorials on decoupling the model from the response",
        fails=(
            "leave-mid-stream",
            "leave-in-silence",
            "leave-in-silence-on-asgi-2.4",
            "leave-while-blocked",
            "backlog-is-bounded",
        ),
    ),
    WrongTurn(
        "s03_yield_on_cancel",
        base="s03_disconnect_aware",
        mistake="catches the cancellation, takes it for a failure, and tells it to nobody",
        seen_in="chat backends that want every stream to end with an event",
        fails=("outcome-is-recorded",),
    ),
    WrongTurn(
        "s04_put_and_yield",
        base="s04_backpressured",
        mistake="fills a bounded queue and empties it in one coroutine, five times a second",
        seen_in="answers on batching tokens for the browser",
        fails=(
            "outcome-is-recorded",
            "stalled-reader-is-cut",
            "slow-reader-frees-upstream",
            "slot-is-returned",
        ),
    ),
    WrongTurn(
        "s04_unbounded_queue",
        base="s04_backpressured",
        mistake="keeps what the client does not take, however much it is",
        seen_in="tutorials that put a queue between the model and the response",
        fails=("backlog-is-bounded",),
    ),
    WrongTurn(
        "s04_orphan_producer",
        base="s04_backpressured",
        mistake="reads the upstream in a task of its own, and nobody ends it",
        seen_in="tutorials with `asyncio.create_task` and a queue",
        fails=(
            "leave-mid-stream",
            "leave-in-silence",
            "leave-in-silence-on-asgi-2.4",
            "leave-while-blocked",
            "stalled-reader-is-cut",
        ),
    ),
    WrongTurn(
        "s04_semaphore_in_handler",
        base="s04_backpressured",
        mistake="holds a semaphore in the handler, which returns before the stream begins",
        seen_in="guides to limiting the concurrency of an endpoint",
        fails=("crowd-is-refused", "slot-is-returned"),
    ),
    WrongTurn(
        "s05_plain_finally",
        base="s05_shielded_usage",
        mistake="finishes the row in the generator's finally, where every await is cancelled",
        seen_in="most examples of usage accounting for streams",
        fails=(
            "left-is-accounted",
            "cut-is-accounted",
            "shutdown-is-accounted",
            "storm-leaves-no-transaction",
        ),
    ),
    WrongTurn(
        "s05_asyncio_shield",
        base="s05_shielded_usage",
        mistake="finishes the row behind asyncio.shield, which goes on, and nobody waits for it",
        seen_in="answers on cancelled database writes",
        fails=("cut-is-accounted", "shutdown-is-accounted"),
    ),
    WrongTurn(
        "s05_create_task",
        base="s05_shielded_usage",
        mistake="finishes the row in a task of its own, and nobody waits for it",
        seen_in="most chat backends that log usage",
        fails=("shutdown-is-accounted",),
    ),
    WrongTurn(
        "s05_request_session",
        base="s05_shielded_usage",
        mistake="holds a database connection from the start of a stream to its end",
        seen_in="the database chapters of framework tutorials, where a request takes milliseconds",
        fails=(
            "shutdown-is-accounted",
            "storm-leaves-no-transaction",
            "database-down-costs-no-stream",
        ),
    ),
    WrongTurn(
        "s06_middleware_timer",
        base="s06_telemetry",
        mistake="measures in an HTTP middleware, which is over when the stream begins",
        seen_in="metrics middleware for web frameworks",
        fails=("first-token-time-is-true", "in-flight-returns-to-zero"),
    ),
)

# The verdict of every probe on every stage, in the order of STAGES.
EXPECTED = {
    "text-survives": "✗✓✓✓✓✓",
    "text-cannot-forge-events": "✗✓✓✓✓✓",
    "bad-request-is-422": "✗✓✓✓✓✓",
    "refusal-has-status": "✗✓✓✓✓✓",
    "failure-is-told": "✗✓✓✓✓✓",
    "secrets-stay-in": "✓✓✓✓✓✓",
    "truncation-is-told": "✗✓✓✓✓✓",
    "usage-chunk-survives": "✗✓✓✓✓✓",
    "silence-is-bridged": "✗✓✓✓✓✓",
    "leave-mid-stream": "✓✓✓✓✓✓",
    "leave-in-silence": "✓✓✓✓✓✓",
    "leave-in-silence-on-asgi-2.4": "✗✓✓✓✓✓",
    "leave-before-headers": "✓✗✓✓✓✓",
    "leave-before-headers-behind-middleware": "✓✗✓✓✓✓",
    "leave-while-blocked": "✓✓✓✓✓✓",
    "outcome-is-recorded": "✗✗✓✓✓✓",
    "stalled-reader-is-cut": "✗✗✗✓✓✓",
    "slow-reader-frees-upstream": "✗✗✗✓✓✓",
    "backlog-is-bounded": "✓✓✓✓✓✓",
    "silent-upstream-is-cut": "✗✗✗✓✓✓",
    "crowd-is-refused": "✗✗✗✓✓✓",
    "slot-is-returned": "✗✗✗✓✓✓",
    "completed-is-accounted": "✗✗✗✗✓✓",
    "left-is-accounted": "✗✗✗✗✓✓",
    "failed-is-accounted": "✗✗✗✗✓✓",
    "cut-is-accounted": "✗✗✗✗✓✓",
    "storm-leaves-no-transaction": "✗✗✗✗✓✓",
    "shutdown-is-accounted": "✗✗✗✗✓✓",
    "database-down-costs-no-stream": "✓✓✓✓✓✓",
    "kill-is-visible": "✗✗✗✗✓✓",
    "metrics-match-ledger": "✗✗✗✗✗✓",
    "first-token-time-is-true": "✗✗✗✗✗✓",
    "in-flight-returns-to-zero": "✗✗✗✗✗✓",
    "logs-stay-private": "✗✗✗✗✗✓",
    "request-id-everywhere": "✗✗✗✗✗✓",
}


def expected(probe: str, stem: str) -> bool | None:
    """Return whether a probe is green on a stage or wrong turn; None where nothing is expected.

    Raises LookupError for a stem that is not in the catalogue.
    """
    for wrong_turn in WRONG_TURNS:
        if wrong_turn.stem == stem:
            return probe not in wrong_turn.fails and expected(probe, wrong_turn.base)
    stems = [stage.stem for stage in STAGES]
    if stem not in stems:
        raise LookupError(f"{stem} is not in the catalogue: {', '.join(stems)}")
    row = EXPECTED.get(probe)
    return None if row is None else row[stems.index(stem)] == "✓"
