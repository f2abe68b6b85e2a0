"""Time to first token: the server's lies between what the upstream and the client measured."""

from stages.lab.bench.bench import Answer, Bench
from stages.lab.bench.scrape import NoMetrics, Samples, scrape
from stages.lab.bench.verdict import Complaint, Late, Verdict, complain, judge
from stages.lab.probes.s06_telemetry.counts import settled
from stages.lab.upstream.script import Done, Finish, Pause, Role, Script, Token

FIRST = "gen_ai_server_time_to_first_token_seconds"
LATE = Script((Role(), Pause(0.4), Token("a"), Pause(0.4), Token("b"), Finish(), Done()))
EMPTY = Script((Role(), Finish(), Done()))
TRUE_S = 0.1  # measured: 5 ms; the first token comes after 0.4 s, the headers after 0, the end 0.8
CLOCK_S = 0.02  # no clock of a server may be further off than that


async def first_token_time_is_true(bench: Bench) -> Verdict:
    """Is the time to first token that of the client's clock?

    Rule: `gen_ai_server_time_to_first_token_seconds` is no more than what the client measured, from
    its request to the first text, and no less than what the upstream did, from the request that it
    got to the text that it sent; these two are less than 0.1 s apart. A stream without any text is
    not in it, and not as zero.
    Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
    """
    try:
        before = await scrape(bench.server)
        late = await bench.ask(LATE)
        since, _ = await settled(bench, before, lambda seen: seen.at(f"{FIRST}_count") > 0)
        await bench.ask(EMPTY)
        after, _ = await settled(
            bench, before, lambda seen: seen.at("gen_ai_server_streams_total") > 1
        )
    except NoMetrics as exc:
        return complain(str(exc))
    return judge(
        {
            "a late first token": _untrue(bench, since, late),
            "a stream without text": (
                None if after.at(f"{FIRST}_count") == 1 else "it was recorded all the same"
            ),
        },
        "the server's time is the client's, and a stream without text has none",
        {"a late first token": late.timeline},
    )


def _first_text_s(bench: Bench, answer: Answer) -> float | None:
    times = [at_s for at_s, item in answer.client.items if "data" in vars(item)]
    said = [bench.dialect.understand(event).kind for event in answer.client.events]
    return times[said.index("token")] if "token" in said else None


def _untrue(bench: Bench, since: Samples, answer: Answer) -> Complaint | None:
    asked_s, text_s = answer.client.sent_s, _first_text_s(bench, answer)
    if since.at(f"{FIRST}_count") != 1:
        return "there is not one record of one stream"
    if text_s is None:
        return "the client saw no text"
    assert answer.entry is not None  # the text came from it
    sent_s = next(sent.at_s for sent in answer.entry.sent if sent.kind == "token")
    least_s, most_s = sent_s - answer.entry.received_s, text_s - asked_s
    said_s = since.at(f"{FIRST}_sum")
    if said_s > most_s + CLOCK_S:
        return "the server says more than the client measured"
    if said_s < least_s - CLOCK_S:
        return "the server says less than the upstream took"
    if most_s - least_s > TRUE_S:  # anything between the two would do
        return Late(f"client and upstream are {TRUE_S:g} s apart", TRUE_S, most_s - least_s)
    return None
