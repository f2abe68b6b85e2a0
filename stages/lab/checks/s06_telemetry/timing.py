"""The exercise `timing`: streams of all kinds, and each of the three times compared."""

from math import isclose
from typing import Any

from stages.lab.exercises.attempt import calling, show
from stages.lab.exercises.exercise import Short
from stages.lab.exercises.outcome import NotYet

OTEL = "https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/"
TTFT = (
    "ttft_s is the time from the acceptance of the request to the first token "
    f"(OpenTelemetry, gen_ai.server.time_to_first_token: {OTEL})."
)
NO_TTFT = "Where no token came there is no time to the first: None, and not 0, the best of the day."
TPOT = (
    "tpot_s is the time per token after the first: (last − first) / (n − 1) "
    f"(OpenTelemetry, gen_ai.server.time_per_output_token: {OTEL})."
)
NO_TPOT = "One token has no token after it: tpot_s is None, and itl_s is empty."
ITL = (
    "itl_s has each gap between two neighbours, in order: its mean is tpot_s, and its longest is "
    "what a reader sees as a stutter. The exercise's own rule; OpenTelemetry has no name for it."
)
ZERO = "A time of 0.0 is a time, although it is false: ask for None, or whether there are tokens."
EMPTY = "An empty text is no token: the chunk with the role has one, and so has the last chunk."
SPACE = "A text of spaces or line ends is a token: only the empty text is none."

RULES = {"ttft_s": TTFT, "tpot_s": TPOT, "itl_s": ITL}

Tokens = list[tuple[float, str]]
Times = tuple[float | None, float | None, list[float]]

# All times are sums of powers of two, so that every difference is exact.
# Where a case has no rule of its own, it is that of the value which is not right.
TIMED: tuple[tuple[float, Tokens, Times, str], ...] = (
    (0.0, [(0.5, "Hi")], (0.5, None, []), NO_TPOT),
    (0.0, [(0.5, "a"), (0.75, "b")], (0.5, 0.25, [0.25]), ""),
    (0.0, [(0.5, "a"), (0.75, "b"), (1.5, "c")], (0.5, 0.5, [0.25, 0.75]), ""),
    (1000.25, [(1000.5, "a"), (1001.5, "b")], (0.25, 1.0, [1.0]), ""),
    (0.0, [(1.0, "a"), (1.0, "b"), (1.0, "c")], (1.0, 0.0, [0.0, 0.0]), ""),
    (2.0, [(2.0, "a"), (2.5, "b")], (0.0, 0.5, [0.5]), ZERO),
    (0.0, [(0.25, ""), (1.0, "a"), (1.5, "b")], (1.0, 0.5, [0.5]), EMPTY),
    (0.0, [(1.0, "a"), (1.5, ""), (2.0, "b"), (4.0, "")], (1.0, 1.0, [1.0]), EMPTY),
    (0.0, [(0.5, " "), (1.0, "\n"), (1.25, "a")], (0.5, 0.375, [0.5, 0.25]), SPACE),
    (0.0, [(0.25, ""), (0.5, "a")], (0.5, None, []), NO_TPOT),
    (0.0, [], (None, None, []), NO_TTFT),
    (0.0, [(0.25, ""), (0.5, "")], (None, None, []), NO_TTFT),
    (8.0, [(9.0 + i / 64, "x") for i in range(1000)], (1.0, 1 / 64, [1 / 64] * 999), ""),
)

TIMES = """The shape:

    times = [at_s for at_s, text in tokens if text]
    itl_s = [later - earlier for earlier, later in pairwise(times)]
    # the other two: a value where there are times enough, else None"""


def judge_latencies(latencies: Any) -> str:
    """Hand over streams of all kinds, and compare each of the three values."""
    for start_s, tokens, times, rule in TIMED:
        call, given = f"latencies({start_s:g}, {show(tokens)})", list(tokens)
        expected = dict(zip(RULES, times, strict=True))
        with calling(call, show(expected), rule or "An answer returns the three values."):
            got = latencies(start_s, given)
        at = timeline(start_s, tokens)
        if not isinstance(got, dict) or got.keys() != expected.keys():
            keys = "The answer is a dict with exactly these three keys."
            raise NotYet(call, show(got), show(expected), keys, at)
        for name, right in expected.items():
            if not same(got[name], right):
                told = f"{name} = {show(got[name])}"
                raise NotYet(call, told, f"{name} = {show(right)}", rule or RULES[name], at)
        if given != tokens:
            kept = "Whoever hands over a list still needs it: leave it as it is."
            raise NotYet(call, "the list of tokens was changed", "the list as it was", kept)
    return f"All {len(TIMED)} streams are timed right."


def same(got: Any, right: float | list[float] | None) -> bool:
    """Return whether a value is the right one, but for what a float rounds away."""
    if isinstance(right, list):
        return (
            isinstance(got, list | tuple) and len(got) == len(right) and all(map(same, got, right))
        )
    if right is None or not isinstance(got, int | float):
        return got is right
    return isclose(got, right, abs_tol=1e-9)


def timeline(start_s: float, tokens: Tokens) -> str:
    """Return the moments of a stream, a line each, those after the sixth left out."""
    count, lines = 0, [f"{start_s:9.3f} s  the request is accepted"]
    for at_s, text in tokens[:6]:
        count += bool(text)
        lines.append(f"{at_s:9.3f} s  {text!r:<4}  {f'token {count}' if text else 'no token'}")
    return "\n".join([*lines, *(["…"] if len(tokens) > 6 else [])])


timing = Short(
    stem="s06_telemetry",
    name="timing",
    stub="latencies",
    minutes=15,
    difficulty="easy",
    judge=judge_latencies,
    hints=(
        "First leave out what is no token. What is left are n moments, and all three values come "
        "from them and from `start_s`. Which of the values need one moment, and which need two?",
        "`itertools.pairwise` gives the neighbours: for n moments there are n − 1 pairs. A list "
        "without an element is false, and so is a time of 0.0: ask the list, not the time.",
        TIMES,
    ),
    or_else="`sum(itl_s) / len(itl_s)` is right for `tpot_s`, too: the gaps make up last − first.",
)
