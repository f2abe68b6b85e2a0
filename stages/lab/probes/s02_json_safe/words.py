"""The words of a finding for a text, and for the end of a connection."""

from stages.lab.bench.bench import ANSWER_S, Answer


def ended(answer: Answer) -> str:
    """Return how the connection ended, when that was not clean."""
    if answer.client.ended == "left":  # by us, when our patience was over
        return f"still open after {ANSWER_S:g} s"
    return str(answer.client.ended)


def short(text: str) -> str:
    """Return a text, or the beginning of a long one."""
    return repr(text) if len(text) <= 40 else f"{text[:12]!r}… ({len(text)} characters)"


def closed(answer: Answer) -> str:
    """Return how the connection ended."""
    return "closed cleanly" if answer.client.ended == "clean" else ended(answer)
