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
)

# The verdict of every probe on every stage, in the order of STAGES.
EXPECTED = {
    "text-survives": "✗✓",
    "text-cannot-forge-events": "✗✓",
    "bad-request-is-422": "✗✓",
    "refusal-has-status": "✗✓",
    "failure-is-told": "✗✓",
    "secrets-stay-in": "✓✓",
    "truncation-is-told": "✗✓",
    "usage-chunk-survives": "✗✓",
    "silence-is-bridged": "✗✓",
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
