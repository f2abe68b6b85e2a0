"""The exercise `attack`: what a text should do to the naive server, and how to see that it did."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stages.lab.bench.bench import ANSWER_S, Answer, Bench
from stages.lab.checks.s01_naive.streams import FIELDS
from stages.lab.clients import sse
from stages.lab.exercises.attempt import calling, show
from stages.lab.exercises.exercise import Short
from stages.lab.exercises.outcome import NotYet
from stages.lab.upstream.script import Script

# After the last token the naive server writes the chunk with the finish_reason, then its end.
END = ("message", "[DONE]")
OWN_END = b"data: \n\ndata: [DONE]"
WIRE_LINES = 12  # of an answer in a message
CHANNEL = f"Text and format share one channel: what reads as a field is one {FIELDS}."
CUT_RULE = (
    "UTF-8 has no place for a lone surrogate, U+D800 to U+DFFF: to encode one raises "
    "(RFC 3629, section 3, https://www.rfc-editor.org/rfc/rfc3629#section-3)."
)


def reading(answer: Answer) -> str:
    """Return what a client of this answer reads, and how it ends."""
    end = "no normal end"
    if answer.told.ends:
        own = len(answer.told.ends) == 1
        end = "a normal end" if own else "an end that the model wrote"
    types = sorted({event.type for event in answer.client.events} - {"message"})
    other = f", and events of type {', '.join(map(repr, types))}" if types else ""
    return f"the client reads {show(answer.told.text)}, then {end}{other}"


def lost(script: Script, answer: Answer) -> bool:
    """Return whether text is missing before the one end, which is the server's own."""
    shorter = len(answer.told.text) < len(script.text)
    return shorter and len(answer.told.ends) == 1 and answer.client.ended == "clean"


def ended_early(script: Script, answer: Answer) -> bool:
    """Return whether the client sees an end before the model's last token is written."""
    wire, client = bytes(answer.client.body), sse.Parser()
    for size, byte in enumerate(wire, start=1):
        items = client.feed(bytes([byte]))
        if any((one.type, one.data) == END for one in items if isinstance(one, sse.Event)):
            # What comes after it is the server's own end, or nothing where it is that end itself.
            rest = wire[size:].strip(b"\r\n")
            return rest != OWN_END and (rest != b"" or answer.client.ended != "clean")
    return False


def forged(script: Script, answer: Answer) -> bool:
    """Return whether an event has a type: the naive server names none."""
    return any(event.type != "message" for event in answer.client.events)


def cut_off(script: Script, answer: Answer) -> bool:
    """Return whether the connection ended before the body did."""
    return answer.client.ended in ("cut", "reset")


@dataclass(frozen=True)
class Goal:
    """What an attack should do, how to see that it did, and why it can be done."""

    expected: str
    reached: Callable[[Script, Answer], bool]
    rule: str


GOALS = {
    "lose text": Goal(
        "the client reads less than the model wrote, then the one end that the server sends",
        lost,
        f"A line with an unknown name is dropped, and a line feed ends a line {FIELDS}.",
    ),
    "end early": Goal(
        "the client sees an end, `[DONE]`, and a token comes after it",
        ended_early,
        "The end is an event whose data is `[DONE]`, whoever writes it "
        "(https://platform.openai.com/docs/api-reference/chat-streaming).",
    ),
    "forge an event": Goal(
        "the client gets an event with a type other than 'message'",
        forged,
        f"A line `event: …` sets the type, and a blank line ends the event before {FIELDS}.",
    ),
    "cut the connection": Goal(
        "the connection closes before the answer has ended", cut_off, CUT_RULE
    ),
}


def on_the_wire(answer: Answer) -> str:
    """Return the lines of an answer, each with what becomes of it."""
    lines = [(show(line.raw), line.fate) for line in sse.dissect(bytes(answer.client.body))]
    wide = max((len(raw) for raw, _ in lines[:WIRE_LINES]), default=0)
    shown = [f"{raw:<{wide}}  {fate}" for raw, fate in lines[:WIRE_LINES]]
    more = len(lines) - WIRE_LINES
    shown += [f"and {more} more lines"] if more > 0 else []
    ended = "the connection is cut" if cut_off(Script(), answer) else "the body ends"
    return "\n".join([*shown, ended])


async def judge_attack(tokens_that: Callable[[str], Any]) -> str:
    """Have the model write what the attack says, and look at what a client reads."""
    attacks = {goal: Script.answer(*written(tokens_that, goal)) for goal in GOALS}
    with Bench(1) as bench:
        answers = await bench.ask_all(attacks)
    for name, goal in GOALS.items():
        script, answer = attacks[name], answers[name]
        if not goal.reached(script, answer):
            got = f"the model writes {show(script.text)}, {reading(answer)}"
            call = f"tokens_that({name!r})"
            within_s = ANSWER_S if answer.client.ended == "left" else None  # the rest may follow
            raise NotYet(call, got, goal.expected, goal.rule, on_the_wire(answer), within_s)
    return f"All {len(GOALS)} attacks work on the naive server: {', '.join(GOALS)}."


def written(tokens_that: Callable[[str], Any], goal: str) -> list[str]:
    """Return the tokens for a goal; raises NotYet for what is no list of strings."""
    call, expected = f"tokens_that({goal!r})", "a list of strings"
    with calling(call, expected, CHANNEL):
        tokens = tokens_that(goal)
    if not isinstance(tokens, list | tuple) or not all(isinstance(one, str) for one in tokens):
        raise NotYet(call, show(tokens), expected, "A model writes tokens, each a string.")
    return list(tokens)


attack = Short(
    stem="s01_naive",
    name="attack",
    stub="tokens_that",
    minutes=15,
    difficulty="easy",
    judge=judge_attack,
    hints=(
        "Put each token by hand into `data: {token}` and two line feeds, write down the lines that "
        "come out, and read them by the three rules. Which token makes a line that is dropped?",
        "A line feed ends the line, and two end the event: what follows begins a line of its own, "
        "with any field name that you like. To cut the connection, look for a string that "
        "`str.encode` cannot encode.",
        "'lose text': a line feed within a token, and text after it. 'end early': the token that "
        "the client takes for the end, then another one. 'forge an event': x, a blank line, "
        "`event: …`, `data: …`, a blank line. 'cut the connection': one half of a pair of "
        "surrogates, '\\ud83d'.",
    ),
    or_else="Many others are right. A carriage return does what a line feed does; `id: 7` on a "
    "line of its own changes what a browser sends when it connects again.",
    deadline_s=30.0,
)
