"""Cases: a probe asks with several scripts at the same time, and judges the answers together."""

from collections.abc import Callable, Mapping

from stages.lab.bench.bench import Answer, Bench
from stages.lab.bench.verdict import Complaint, Verdict, judge
from stages.lab.upstream.script import Script

Complain = Callable[[Script, Answer], Complaint | None]


async def try_all(
    bench: Bench, scripts: Mapping[str, Script], complain: Complain, what_holds: str
) -> Verdict:
    """Return the verdict on all scripts; `complain` says what is wrong with an answer, or None."""
    answers = await bench.ask_all(scripts)
    return judge(
        {
            name: bench.in_time(answer.client, complain(scripts[name], answer))
            for name, answer in answers.items()
        },
        what_holds,
        {name: answer.timeline for name, answer in answers.items()},
    )
