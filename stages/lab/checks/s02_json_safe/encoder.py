"""The exercise `encoder`: every document of `events`, read as a client does; then the names."""

from collections.abc import Callable
from typing import Any

from stages.lab.checks.s02_json_safe import events
from stages.lab.exercises.attempt import calling, show
from stages.lab.exercises.exercise import Short
from stages.lab.exercises.outcome import NotYet


def judge_encoder(encode: Callable[[Any, Any], Any]) -> str:
    """Encode every document and read it as a client does; then try the names."""
    cases = events.EVENTS
    for case in cases:
        with calling(case.call, events.told((case,)), case.rule):
            wire = encode(case.name, case.document)
        events.check(case.call, wire, (case,))
    first, second = cases[:2]
    call, rule = f"{first.call} + {second.call}", events.FORM
    with calling(call, events.told((first, second)), rule):
        wire = encode(first.name, first.document) + encode(second.name, second.document)
    events.check(call, wire, (first, second))
    for name, rule in events.NAMES.items():
        _must_refuse(encode, name, rule)
    return (
        f"All {len(cases)} documents arrive as they were, each in one event of ASCII, and "
        f"{len(events.NAMES)} names are refused."
    )


def _must_refuse(encode: Callable[[Any, Any], Any], name: str, rule: str) -> None:
    call = f"encode({name!r}, {{}})"
    with calling(call, "ValueError", rule):
        try:
            got = encode(name, {})
        except ValueError:
            return
    raise NotYet(call, show(got), "ValueError", rule, events.in_the_name(name, got))


encoder = Short(
    stem="s02_json_safe",
    name="encoder",
    stub="encode",
    minutes=10,
    difficulty="easy",
    judge=judge_encoder,
    hints=(
        "An event is three lines here, and the last one is blank. What can the text of a token "
        "change in the first two, once the document is JSON? What can the name change?",
        "`json.dumps` as it comes writes one line, in ASCII; `ensure_ascii=False` and `indent` "
        "take that away. `str.encode('ascii')` raises UnicodeEncodeError, which is a ValueError, "
        "so a name that is not ASCII needs no check of its own.",
        'Raise ValueError when the name is empty, or has "\\r" or "\\n" in it. Then return '
        'f"event: {event}\\ndata: {json.dumps(document)}\\n\\n".encode("ascii").',
    ),
    or_else="CRLF for the line ends is right as well, and so is a document that is written without "
    "spaces. `allow_nan=False` is a good addition: NaN is no JSON, and a browser cannot read it.",
)
