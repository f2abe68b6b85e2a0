"""The probes that s02 introduces: text and failure both arrive as data."""

import json
from itertools import pairwise

from stages.lab.bench.bench import ANSWER_S, Answer, Bench
from stages.lab.bench.cases import try_all
from stages.lab.bench.refusals import not_status, refused, status_timeline
from stages.lab.bench.verdict import Complaint, Outcomes, Verdict, judge
from stages.lab.clients.dialects import in_words
from stages.lab.clients.sse import Comment
from stages.lab.upstream.script import (
    Cut,
    Done,
    Empty,
    Finish,
    InBandError,
    Pause,
    Raw,
    Refusal,
    Role,
    Script,
    Token,
    Usage,
)

SENTINEL = "hunter2-9b1f"  # stands for a key, a path, a customer's name

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
    how = "" if answer.client.ended == "clean" else f", then the connection was {_ended(answer)}"
    return f"sent {_short(sent)}, got {_short(got)}{how}"


def _joined(text: str) -> str:
    """Return the text with each surrogate pair as the one character that it stands for."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _ended(answer: Answer) -> str:
    if answer.client.ended == "left":  # by us, when our patience was over
        return f"still open after {ANSWER_S:g} s"
    return str(answer.client.ended)


def _short(text: str) -> str:
    return repr(text) if len(text) <= 40 else f"{text[:12]!r}… ({len(text)} characters)"


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


LONG = "x" * 1_000_000

BAD_REQUESTS = {
    "not JSON": b"{",
    "no messages": b"{}",
    "an empty list": b'{"messages": []}',
    "a role called wizard": b'{"messages": [{"role": "wizard", "content": "hi"}]}',
    "empty content": b'{"messages": [{"role": "user", "content": ""}]}',
    "a million characters": json.dumps({"messages": [{"role": "user", "content": LONG}]}).encode(),
}


async def bad_request_is_422(bench: Bench) -> Verdict:
    """Is a bad request refused with 422 and a reason, before it costs anything?

    Rule: status 422, a JSON body with `code`, `message` and `request_id`, and no upstream request.
    Source: RFC 9110, section 15.5.21, https://www.rfc-editor.org/rfc/rfc9110#section-15.5.21
    """
    clients, outcomes = {}, dict[str, Complaint | None]()
    for name, body in BAD_REQUESTS.items():
        asked_before = len(await bench.entries())
        clients[name] = await refused(bench.client_with(body))
        outcomes[name] = bench.in_time(clients[name], not_status(clients[name], 422))
        if outcomes[name] is None and len(await bench.entries()) > asked_before:
            outcomes[name] = "status 422, but the upstream was asked first"
    return judge(
        outcomes,
        f"{len(BAD_REQUESTS)} bad requests got 422 and a reason, and never reached the upstream",
        {name: status_timeline(client) for name, client in clients.items()},
    )


REFUSALS = {
    "upstream says 401": (Refusal(401, "Incorrect API key.", "invalid_api_key"), 502),
    "upstream says 429": (Refusal(429, "Rate limit.", headers=(("retry-after", "7"),)), 429),
    "upstream says 429, not how long": (Refusal(429, "Rate limit."), 429),
    "upstream says 500": (Refusal(500, "Internal error.", "server_error"), 502),
    "upstream says 503": (Refusal(503, "Overloaded.", "overloaded"), 502),
}


async def refusal_has_status(bench: Bench) -> Verdict:
    """Does a refusal that is known before the first byte become an HTTP status?

    Rule: 429 with the upstream's `Retry-After` stays 429, every other refusal is 502, each with a
    JSON body. A status is what proxies, load balancers and retrying clients look at.
    Source: RFC 9110, section 15.6.3, https://www.rfc-editor.org/rfc/rfc9110#section-15.6.3
    """
    clients = {}
    for name, (refusal, _) in REFUSALS.items():
        prompt = await bench.register(Script(refusal=refusal))
        clients[name] = await refused(bench.client(prompt))
    nobody = bench.without_upstream()
    clients["nobody listens"] = await refused(bench.client("hello", server=nobody))
    outcomes = {
        name: bench.in_time(
            client, not_status(client, REFUSALS[name][1] if name in REFUSALS else 502)
        )
        for name, client in clients.items()
    }
    busy = clients["upstream says 429"]
    if busy.status == 429 and busy.headers.get("retry-after") != "7":
        outcomes["upstream says 429"] = "the upstream's Retry-After: 7 is lost"
    return judge(
        outcomes,
        f"{len(clients)} refusals became an HTTP status and a JSON body",
        {name: status_timeline(client) for name, client in clients.items()},
    )


def _broken(*steps: Cut | InBandError | Raw | Done) -> Script:
    return Script((Role(), Token("Hello"), Token(" wor"), *steps))


FAILURES = {
    "cut between two chunks": _broken(Cut()),
    "cut in the middle of a chunk": _broken(Cut("mid chunk")),
    "reset": _broken(Cut(reset=True)),
    "an error in the stream": _broken(InBandError()),
    "a malformed chunk": _broken(Raw('data: {"id": \n\n')),
}


async def failure_is_told(bench: Bench) -> Verdict:
    """When the upstream fails in mid-stream, is the client told, once, in words it can read?

    Rule: the text so far, then exactly one `error` event, then the end of the body as HTTP says it.
    Source: RFC 9112, section 8 (a chunked body without its last chunk is incomplete, and a browser
    calls that a network error), https://www.rfc-editor.org/rfc/rfc9112#section-8
    """
    holds = f"{len(FAILURES)} failures in mid-stream each became one error event and a clean end"
    return await try_all(bench, FAILURES, _not_told, holds)


def _not_told(script: Script, answer: Answer) -> str | None:
    """Return what is wrong with the way a failure is told; None when it is told well."""
    ends = [said.kind for said in answer.told.ends]
    if ends != ["error"]:
        told = " and ".join(ends) if ends else "nothing"
        return f"the client was told {told}, and the connection was {_closed(answer)}"
    if answer.told.kinds[-1] != "error":
        return "more events came after the error"
    if answer.told.text != "Hello wor":
        return f"the text before the failure is {_short(answer.told.text)}"
    if answer.client.ended != "clean":
        return f"one error event, but then the connection was {_closed(answer)}"
    return None


def _closed(answer: Answer) -> str:
    return "closed cleanly" if answer.client.ended == "clean" else _ended(answer)


LEAKS = {
    "in an error body": Script(refusal=Refusal(401, f"Incorrect API key {SENTINEL}.", SENTINEL)),
    "in a header of a refusal": Script(
        refusal=Refusal(500, headers=(("x-internal", SENTINEL), ("x-request-id", SENTINEL)))
    ),
    "in a header of an answer": Script(
        Script.answer("Hello", " wor").steps, headers=(("x-internal", SENTINEL),)
    ),
    "in an error in the stream": _broken(InBandError(f"at /srv/{SENTINEL}.py", SENTINEL)),
    "in a malformed chunk": _broken(Raw(f'data: {{"{SENTINEL}": \n\n')),
}


async def secrets_stay_in(bench: Bench) -> Verdict:
    """Does anything that the upstream says about its own failure reach the client?

    Rule: a secret in the upstream's error body, header or exception stands in no byte that the
    client gets, headers included.
    Source: CWE-209, https://cwe.mitre.org/data/definitions/209.html
    """
    holds = f"a secret in {len(LEAKS)} places of the upstream's answer reached no byte of ours"
    return await try_all(bench, LEAKS, _leaked, holds)


def _leaked(script: Script, answer: Answer) -> str | None:
    if answer.entry is None:
        return "the upstream was never asked, so nothing is proved"
    at = answer.client.wire.find(SENTINEL.encode())
    if at == -1:
        return None
    around = bytes(answer.client.wire[max(0, at - 30) : at + len(SENTINEL)])
    return f"the client got {around.decode('latin-1')!r}"


TRUNCATED = {
    "no finish_reason and no [DONE]": _broken(),
    "[DONE] without a finish_reason": _broken(Done()),
}
COMPLETE = {
    "a finish_reason without [DONE]": Script((Role(), Token("Hello"), Token(" wor"), Finish())),
}


async def truncation_is_told(bench: Bench) -> Verdict:
    """When the upstream stops early but politely, is that told as a failure?

    Rule: an answer without a `finish_reason` is cut short: one `error`, no `done`. An answer with
    one is complete, also without `[DONE]`.
    Source: https://platform.openai.com/docs/api-reference/chat-streaming (the last chunk of a
    choice has its `finish_reason`); the SDK takes a clean end for success.
    """
    holds = "an answer cut short was told as an error, a complete one as done"
    return await try_all(bench, TRUNCATED | COMPLETE, _wrong_end, holds)


def _wrong_end(script: Script, answer: Answer) -> str | None:
    if Finish() not in script.steps:
        return _not_told(script, answer)
    return None if answer.told.kinds == ("token", "done") else "not told as done"


async def usage_chunk_survives(bench: Bench) -> Verdict:
    """Does a chunk with empty `choices` pass without harm, and does its usage arrive?

    Rule: all of the text, then one `done` with the provider's `usage` in its data. The provider
    sends it when the request has `stream_options: {"include_usage": true}`.
    Source: https://platform.openai.com/docs/api-reference/chat-streaming (`choices` is empty in the
    chunk with the usage; some providers open the stream with an empty one).
    """
    steps = (Role(), Token("Hello"), Finish(), Usage(11, 13), Done())
    scripts = {
        "the usage in a last chunk": Script(steps),
        "an empty chunk before all": Script((Empty(), *steps)),
    }
    holds = "two chunks without choices did no harm, and the usage arrived"
    return await try_all(bench, scripts, _usage_lost, holds)


def _usage_lost(script: Script, answer: Answer) -> str | None:
    asked = answer.entry.asked.get("stream_options") if answer.entry is not None else None
    if answer.told.kinds != ("token", "done") or answer.told.text != "Hello":
        return f"the client saw {in_words(answer.told)}, and the connection was {_closed(answer)}"
    usage = answer.told.ends[0].value.get("usage")
    match usage:
        case {"prompt_tokens": 11, "completion_tokens": 13} if asked == {"include_usage": True}:
            return None
        case {"prompt_tokens": 11, "completion_tokens": 13}:
            return f"the usage was not asked for: the request has stream_options {asked}"
    return f"the provider counted 11 and 13 tokens, the client got {usage}"


SILENCE_S = 1.0  # four times the lab's PING_S, so that a late ping on a busy machine still counts


async def silence_is_bridged(bench: Bench) -> Verdict:
    """While the upstream thinks, does something go over the wire, so that no proxy cuts it?

    Rule: at least one comment line in every silence that lasts four times the ping interval. The
    lab sets `PING_S` to 0.25 in the server's environment, so that nobody has to wait for 15 s.
    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes
    (a comment line every 15 seconds or so, against proxies that drop connections).
    """
    thinking = (
        Role(),
        Pause(SILENCE_S),
        Token("a"),
        Pause(SILENCE_S),
        Token("b"),
        Finish(),
        Done(),
    )
    answer = await bench.ask(Script(thinking))
    return judge(
        _unbridged(bench, answer),
        "comments came in each silence, and the text was whole",
        {"before the first token": answer.timeline},
    )


def _unbridged(bench: Bench, answer: Answer) -> Outcomes:
    if answer.told.text != "ab":
        return {"the text": bench.in_time(answer.client, f"sent 'ab', got {answer.told.text!r}")}
    comments = [at_s for at_s, item in answer.client.items if isinstance(item, Comment)]
    entry = answer.entry
    assert entry is not None  # the text came from it
    ends = [sent.at_s for sent in entry.sent if sent.kind in ("role", "token")]
    names = ("before the first token", "between two tokens")

    def silent(start_s: float, end_s: float) -> Complaint | None:
        came_s = min((at_s for at_s in comments if at_s > start_s), default=None)
        return bench.witness.late(
            "no comment came", end_s - start_s, since_s=start_s, came_s=came_s
        )

    return {
        name: silent(start_s, end_s)
        for name, (start_s, end_s) in zip(names, pairwise(ends), strict=True)
    }
