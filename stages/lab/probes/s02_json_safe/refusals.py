"""Refusals: what is known before the first byte is an HTTP status."""

import json

from stages.lab.bench.bench import Bench
from stages.lab.bench.refusals import not_status, refused, status_timeline
from stages.lab.bench.verdict import Complaint, Verdict, judge
from stages.lab.upstream.script import Refusal, Script

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
