"""Request ids: one stream has one, from the client to the log and to the bill."""

import re
import time

from stages.lab.bench.accounts import rows
from stages.lab.bench.bench import Bench
from stages.lab.bench.leaving import COME_S
from stages.lab.bench.verdict import Complaint, Verdict, judge
from stages.lab.clients.dialects import read
from stages.lab.probes.s06_telemetry.counts import SETTLED_S, TOKENS
from stages.lab.upstream.script import Cut, Script

GIVEN = "probe-1"


async def request_id_everywhere(bench: Bench) -> Verdict:
    """Can one stream be followed from the client to the log and to the bill?

    Rule: the id that the client sends in `X-Request-ID`, or one made here, begins the id in the
    response's header, and that one is in the error event, in a line of the log, and in the usage
    row. A refusal has it too. Sent twice, it is two streams.
    Source: https://http.dev/x-request-id
    """
    failing = await bench.register(Script((*TOKENS, Cut())))
    body = bench.dialect.ask(failing)
    outcomes = dict[str, Complaint | None]()
    for name, given in {"given": GIVEN, "given again": GIVEN, "not given": None}.items():
        headers = {} if given is None else {"x-request-id": given}
        async with bench.client_with(body, headers=headers) as client:
            await client.read(deadline_s=COME_S)
        found = client.headers.get("x-request-id", "")
        ends = read(bench.dialect, client.events).ends
        outcomes[name] = await _lost(bench, found, given, [end.value for end in ends])
    async with bench.client_with(b"{}", headers={"x-request-id": GIVEN}) as client:
        await client.read(deadline_s=COME_S)
    found = client.headers.get("x-request-id", "")
    refused = f'"request_id":"{found}"'.encode() in bytes(client.body).replace(b" ", b"")
    outcomes["a refusal"] = None if found.startswith(GIVEN) and refused else "it has another id"
    return judge(outcomes, "the id is the same in header, event, log and row", {})


async def _lost(
    bench: Bench, found: str, given: str | None, ends: list[object]
) -> Complaint | None:
    if not found:
        return "the response has no X-Request-ID"
    if given is not None and not found.startswith(given):
        return f"the response says {found!r}"
    if [end.get("request_id") for end in ends if isinstance(end, dict)] != [found]:
        return "the error event has another id"

    async def look() -> tuple[bool, bool]:
        in_log = re.search(rf"outcome=.*{re.escape(found)}", bench.server.log) is not None
        in_row = [row.id for row in rows(bench.database(bench.server))].count(found) == 1
        return in_log, in_row

    since_s = time.monotonic()
    (in_log, in_row), came_s = await bench.witness.see(look, all, SETTLED_S)
    if not (in_log and in_row):
        return "the row has another id" if in_log else "the log has another id"
    told = f"log and row came later than {SETTLED_S:g} s after the end"
    return bench.witness.late(told, SETTLED_S, since_s=since_s, came_s=came_s)
