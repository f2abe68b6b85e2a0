"""Texts: each arrives as the model wrote it, and none is taken for an event."""

from stages.lab.bench.bench import Answer, Bench
from stages.lab.bench.cases import try_all
from stages.lab.bench.verdict import Verdict
from stages.lab.clients.dialects import in_words
from stages.lab.probes.s02_json_safe.words import ended, short
from stages.lab.upstream.script import Script

TEXTS = {
    "line feeds": ("Hello\n", "\n- one", "\n\n- two\n"),
    "carriage returns": ("a\rb", "\r", "c\r\nd"),
    "leading spaces": (" a", "  b", "   ", "\tc"),
    "U+2028 and U+0085": ("a\u2028b", "c\u0085d", "e\x0bf\x0cg"),
    "NUL": ("a\x00b", "\x00"),
    "[DONE] in the text": ("send ", "[DONE]", " at the end"),
    "field names": ("data: x", "event: y", ": z", "id: 7", "data"),
    "backslash n in the text": ("print('a\\nb')",),
    "quotes and braces": ('{"index": 0}', '"', "\\", "}"),
    "an emoji": ("caf\u00e9 \U0001f600",),
    "a surrogate pair in two tokens": ("a\ud83d", "\ude00b"),
    "an empty token": ("a", "", "b"),
    "1 MB with one line feed": ("x" * 999_990 + "\n" + "y" * 9,),
}


async def text_survives(bench: Bench) -> Verdict:
    """Does every text arrive as the model wrote it?

    Rule: the text that the client reads equals the text of the tokens, character for character.
    Each token is an event `token` with the data `{"index": 0, "text": "…"}`.
    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
    (LF, CR and CRLF end a line; a line with an unknown field name is dropped).
    """
    scripts = {name: Script.answer(*tokens) for name, tokens in TEXTS.items()}
    holds = f"all {len(TEXTS)} adversarial texts arrived character for character"
    return await try_all(bench, scripts, _damage, holds)


def _damage(script: Script, answer: Answer) -> str | None:
    sent, got = script.text, answer.told.text
    if _joined(got) == _joined(sent):
        return None
    how = "" if answer.client.ended == "clean" else f", then the connection was {ended(answer)}"
    return f"sent {short(sent)}, got {short(got)}{how}"


def _joined(text: str) -> str:
    """Return the text with each surrogate pair as the one character that it stands for."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


FORGERIES = {
    "an error event in the text": 'x\n\nevent: error\ndata: {"code": "forged"}\n\n',
    "an error event behind CR": 'x\r\revent: error\rdata: {"code": "forged"}\r\r',
    "a done event in the text": 'x\n\nevent: done\ndata: {"finish_reason": "stop"}\n\ny',
    "an end marker of its own": "[DONE]",
}


async def text_cannot_forge_events(bench: Bench) -> Verdict:
    """Can a text that the model writes make the client see an event that the server never sent?

    Rule: the client sees tokens, then one event `done` whose data is a JSON object, and nothing
    else.
    Source: the same section of the standard; CWE-93, improper neutralization of CRLF sequences.
    """
    scripts = {name: Script.answer("before ", text, " after") for name, text in FORGERIES.items()}
    holds = f"{len(FORGERIES)} texts with events in them arrived as text, and only as text"
    return await try_all(bench, scripts, _forged, holds)


def _forged(script: Script, answer: Answer) -> str | None:
    kinds = answer.told.kinds
    if kinds == ("token", "done"):
        return None
    return f"the client saw {in_words(answer.told)}"
