"""Dialects: how to ask a server, and how a client of that server reads its answer."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from stages.lab.clients.sse import Event


@dataclass(frozen=True)
class Said:
    """One event as the client understands it.

    `value` is the text of a token, the JSON object of a `done` or an `error`, or unreadable data.
    """

    kind: Literal["token", "done", "error", "unreadable"]
    value: Any


@dataclass(frozen=True)
class Told:
    """What a client was told by a whole answer, in order."""

    said: tuple[Said, ...]

    @property
    def text(self) -> str:
        """The text up to the first `done` or `error`: there, a client stops listening."""
        texts = []
        for said in self.said:
            if said.kind in ("done", "error"):
                break
            if said.kind == "token":
                texts.append(said.value)
        return "".join(texts)

    @property
    def ends(self) -> tuple[Said, ...]:
        """Every `done` and `error`. A good answer has one, and it stands last."""
        return tuple(said for said in self.said if said.kind in ("done", "error"))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of all events, with a run of tokens as one."""
        kinds = [said.kind for said in self.said]
        return tuple(
            kind
            for i, kind in enumerate(kinds)
            if i == 0 or kind != "token" or kinds[i - 1] != kind
        )


def in_words(told: Told) -> str:
    """Return the kinds of all events as words, with the data of the first that is unreadable."""
    words, shown = [], False
    for kind in told.kinds:
        broken = next((said.value for said in told.said if said.kind == "unreadable"), "")
        words.append(f"unreadable ({broken:.60})" if kind == "unreadable" and not shown else kind)
        shown = shown or kind == "unreadable"
    return ", ".join(words) or "nothing"


class Dialect(Protocol):
    """How to ask and how to read."""

    name: str
    path: str

    def ask(self, prompt: str) -> bytes:
        """Return the body of the request for a prompt."""

    def understand(self, event: Event) -> Said:
        """Return what one event says."""


def read(dialect: Dialect, events: Iterable[Event]) -> Told:
    """Return what a client that speaks the dialect was told by these events."""
    return Told(tuple(dialect.understand(event) for event in events))


class Stages:
    """The dialect of the stages from s02 on: named events, one JSON document each."""

    name = "stages"
    path = "/chat"

    def ask(self, prompt: str) -> bytes:
        """Return the body of the request for a prompt."""
        return json.dumps({"messages": [{"role": "user", "content": prompt}]}).encode()

    def understand(self, event: Event) -> Said:
        """Return what one event says."""
        try:
            document = json.loads(event.data)
        except (ValueError, RecursionError):  # the latter: too many brackets within brackets
            document = None
        match event.type, document:
            case "token", {"text": str(text)}:
                return Said("token", text)
            case "done", {}:
                return Said("done", document)
            case "error", {}:
                return Said("error", document)
        return Said("unreadable", event.data)


class Plain(Stages):
    """The dialect of s01 and of most tutorials: `data: {text}`, and `[DONE]` at the end.

    It reads named events as well, so it fits a file on its way from s01 to s02.
    """

    name = "plain"

    def understand(self, event: Event) -> Said:
        """Return what one event says."""
        if event.type != "message":
            return super().understand(event)
        return Said("done", {}) if event.data == "[DONE]" else Said("token", event.data)


class Escaped(Stages):
    r"""Named events whose token is plain text with `\n` for a line feed, undone by the client."""

    name = "escaped"

    def understand(self, event: Event) -> Said:
        """Return what one event says."""
        if event.type == "token":
            return Said("token", event.data.replace("\\n", "\n"))
        return super().understand(event)


DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (Stages(), Plain(), Escaped())}
