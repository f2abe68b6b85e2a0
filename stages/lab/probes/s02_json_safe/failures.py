"""Failures in mid-stream: the client is told, once, and nothing that is the upstream's own."""

from stages.lab.bench.bench import Answer, Bench
from stages.lab.bench.cases import try_all
from stages.lab.bench.verdict import Verdict
from stages.lab.probes.s02_json_safe.words import closed, short
from stages.lab.upstream.script import (
    Cut,
    Done,
    Finish,
    InBandError,
    Raw,
    Refusal,
    Role,
    Script,
    Token,
)

SENTINEL = "hunter2-9b1f"  # stands for a key, a path, a customer's name


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
        return f"the client was told {told}, and the connection was {closed(answer)}"
    if answer.told.kinds[-1] != "error":
        return "more events came after the error"
    if answer.told.text != "Hello wor":
        return f"the text before the failure is {short(answer.told.text)}"
    if answer.client.ended != "clean":
        return f"one error event, but then the connection was {closed(answer)}"
    return None


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
