"""Privacy: what people write and models answer is kept nowhere."""

from stages.lab.bench.accounts import holds
from stages.lab.bench.bench import Answer, Bench
from stages.lab.bench.leaving import COME_S
from stages.lab.bench.scrape import NoMetrics, metrics_page
from stages.lab.bench.verdict import Complaint, Verdict, judge
from stages.lab.clients.dialects import read
from stages.lab.upstream.script import Cut, InBandError, Refusal, Role, Script, Token

SENTINEL = "kookaburra"
QUOTES = f"Your prompt was: {SENTINEL}"
PRIVATE = {
    "an answer": Script.answer("a ", SENTINEL),
    "a cut": Script((Role(), Token(SENTINEL), Cut("mid chunk"))),
    "a refusal that quotes the prompt": Script(refusal=Refusal(400, QUOTES, "invalid_request")),
    "an error that quotes the prompt": Script((Role(), Token("a"), InBandError(QUOTES))),
}


async def logs_stay_private(bench: Bench) -> Verdict:
    """Does any text of a prompt or an answer come to the log, or into a label?

    Rule: a sentinel in both, and in what the upstream says when it quotes the prompt, is in no line
    of the log, nowhere in `/metrics`, and nowhere in the database.
    Source: https://cheatsheetseries.owasp.org/cheatsheets/Logging_Cheat_Sheet.html#data-to-exclude
    """
    outcomes = dict[str, Complaint | None]()
    timelines = {}
    begun = len(bench.server.log)
    for name, script in PRIVATE.items():
        prompt = f"{await bench.register(script)} {SENTINEL}"
        read_before = len(bench.server.log)
        async with bench.client(prompt) as client:
            await client.read(deadline_s=COME_S)
        told = read(bench.dialect, client.events)
        timelines[name] = Answer(client, told, None).timeline
        outcomes[name] = _told(bench.server.log[read_before:])
    try:
        page = await metrics_page(bench.server)
    except NoMetrics:
        page = ""
    outcomes["the whole log"] = _told(bench.server.log[begun:])  # also what came a moment later
    rows_too = holds(bench.database(bench.server), SENTINEL)
    outcomes["the usage rows"] = "it is in the database" if rows_too else None
    outcomes["the metrics"] = "it is in /metrics" if SENTINEL in page else None
    return judge(outcomes, "no text of a prompt or an answer was found", timelines)


def _told(log: str) -> str | None:
    lines = [line for line in log.splitlines() if SENTINEL in line]
    return "the log quotes it" if lines else None
