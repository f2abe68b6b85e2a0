"""Usage: the provider's counts come in a chunk that has no text, and reach the client."""

from stages.lab.bench.bench import Answer, Bench
from stages.lab.bench.cases import try_all
from stages.lab.bench.verdict import Verdict
from stages.lab.clients.dialects import in_words
from stages.lab.probes.s02_json_safe.words import closed
from stages.lab.upstream.script import Done, Empty, Finish, Role, Script, Token, Usage


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
        return f"the client saw {in_words(answer.told)}, and the connection was {closed(answer)}"
    usage = answer.told.ends[0].value.get("usage")
    match usage:
        case {"prompt_tokens": 11, "completion_tokens": 13} if asked == {"include_usage": True}:
            return None
        case {"prompt_tokens": 11, "completion_tokens": 13}:
            return f"the usage was not asked for: the request has stream_options {asked}"
    return f"the provider counted 11 and 13 tokens, the client got {usage}"
