"""Scripts: what the scripted upstream does with one request, as data.

A `Script` is a sequence of steps. It travels to the upstream as JSON and is chosen by the prompt:
a request whose last message contains `script:NAME` gets the script of that name. So a script
passes unchanged through any server that stands between the client and the upstream.
"""

import dataclasses
import json
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, get_args

from stages.lab.upstream.checked import Checked, Headers, RefusalStatus, make

PREFIX = "script:"
MOST_TIMES = 1_000_000  # of a step in a row: a typing error should not fill the memory
NAME = r"\w+(?:[.-]\w+)*"  # ends with a letter or a digit: the full stop of a sentence is not in it


class ScriptError(ValueError):
    """A script that the upstream cannot play; the message says which part and what is allowed."""


@dataclass(frozen=True)
class Role(Checked):
    """The delta that opens an answer: `role` and an empty `content`."""


@dataclass(frozen=True)
class Token(Checked):
    """One content delta. `delay_s` passes before it is sent."""

    text: str
    delay_s: float = 0.0


@dataclass(frozen=True)
class Pause(Checked):
    """Silence: nothing is sent for `seconds`, at this point of the stream."""

    seconds: float


@dataclass(frozen=True)
class Empty(Checked):
    """A chunk with empty `choices`, such as the one that opens a stream of some providers."""


@dataclass(frozen=True)
class ToolCall(Checked):
    """One delta of a tool call; `id` and `name` stand in the first delta of a call only."""

    index: int
    arguments: str
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Finish(Checked):
    """The chunk that carries the `finish_reason`."""

    reason: str = "stop"


@dataclass(frozen=True)
class Usage(Checked):
    """The usage chunk: token counts and empty `choices`.

    With `only_if_asked`, it is sent only to a request with `stream_options.include_usage`.
    """

    prompt_tokens: int
    completion_tokens: int
    only_if_asked: bool = False


@dataclass(frozen=True)
class Done(Checked):
    """The line `data: [DONE]` that ends a complete answer."""


@dataclass(frozen=True)
class InBandError(Checked):
    """An `{"error": …}` document in the middle of a stream whose status was 200."""

    message: str = "The server had an error while processing your request."
    code: str = "server_error"


@dataclass(frozen=True)
class Raw(Checked):
    """Text that is sent as it stands, as one chunk of the body: a comment, a malformed line."""

    text: str


@dataclass(frozen=True)
class Firehose(Checked):
    """`count` content deltas as fast as the connection takes them; the i-th has text `"{i} "`."""

    count: int = 200_000


@dataclass(frozen=True)
class Cut(Checked):
    """The connection ends here without the end of the body, and the script with it.

    `where` is between two chunks, or in the middle of a chunk with the text `half`;
    `reset` sends RST rather than FIN.
    """

    where: Literal["between chunks", "mid chunk"] = "between chunks"
    reset: bool = False


Step = (
    Role
    | Token
    | Pause
    | Empty
    | ToolCall
    | Finish
    | Usage
    | Done
    | InBandError
    | Raw
    | Firehose
    | Cut
)
STEPS: dict[str, type[Step]] = {kind.__name__: kind for kind in get_args(Step)}


@dataclass(frozen=True)
class Refusal(Checked):
    """An HTTP status instead of a stream, with the JSON body that a provider sends."""

    status: RefusalStatus
    message: str = "The request was refused."
    code: str | None = None
    headers: Headers = ()


@dataclass(frozen=True)
class Script(Checked):
    """What the upstream does with one request. After the last step the body ends cleanly."""

    steps: tuple[Step, ...] = ()
    headers_after_s: float = 0.0
    headers: Headers = ()
    refusal: Refusal | None = None
    byte_at_a_time: bool = False

    @classmethod
    def answer(cls, *texts: str, delay_s: float = 0.0, headers_after_s: float = 0.0) -> "Script":
        """Return a complete answer: role, tokens, `stop`, the usage if asked for, `[DONE]`."""
        tokens = tuple(Token(text, delay_s) for text in texts)
        usage = Usage(prompt_tokens=7, completion_tokens=len(texts), only_if_asked=True)
        return cls((Role(), *tokens, Finish(), usage, Done()), headers_after_s=headers_after_s)

    @property
    def text(self) -> str:
        """The text of all content deltas, joined."""
        return "".join(map(_text_of, self.steps))

    def to_json(self) -> str:
        """Return the script as ASCII JSON, so that lone surrogates survive.

        The two halves of a pair in one text come back as the character, as in every JSON. Equal
        steps in a row are one, with `times`: ten megabytes of text are four kilobytes so.
        """
        document = dataclasses.asdict(dataclasses.replace(self, steps=()))
        document["steps"] = [_document(step, len([*row])) for step, row in groupby(self.steps)]
        return json.dumps(document)

    @classmethod
    def from_json(cls, document: str | bytes) -> "Script":
        """Return the script that `to_json` wrote; raises ScriptError, naming the wrong part."""
        try:
            fields = json.loads(document)
            if isinstance(fields, dict):
                fields["steps"] = _steps(fields.get("steps", []))
                if fields.get("refusal") is not None:
                    fields["refusal"] = make(Refusal, fields["refusal"])
            return make(cls, fields)
        except (ValueError, RecursionError) as exc:  # the latter: too many brackets within brackets
            raise ScriptError(f"This is not a script: {exc}") from exc


def _steps(documents: Any) -> list[Step]:
    if not isinstance(documents, list):
        raise ValueError(f"Script has steps={documents!r:.60}. Allowed is a list.")
    return [step for document in documents for step in _row(document)]


def _document(step: Step, times: int) -> dict[str, Any]:
    more = {"times": times} if times > 1 else {}
    return {"do": type(step).__name__, **dataclasses.asdict(step), **more}


def _row(document: Any) -> list[Step]:
    """Return the steps that a document stands for: one, unless it says how often."""
    fields = dict(document) if isinstance(document, dict) else {}
    times = fields.pop("times", 1)
    if type(times) is not int or not 1 <= times <= MOST_TIMES:
        raise ValueError(f"A step has times={times!r:.60}. Allowed is 1 to {MOST_TIMES}.")
    kind = STEPS.get(str(fields.pop("do", None)))
    if kind is None:
        known = ", ".join(STEPS)
        raise ValueError(f"The step {document!r:.60} has no known `do`. Known: {known}.")
    step: Step = make(kind, fields)
    return [step] * times


def _text_of(step: Step) -> str:
    if isinstance(step, Token):
        return step.text
    if isinstance(step, Firehose):
        return "".join(f"{i} " for i in range(step.count))
    return ""
