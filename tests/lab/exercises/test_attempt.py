"""A check sees whether a learner's code is written, what it returned, and where that differs."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from stages.lab.exercises.attempt import caret, is_stub, show

# mypy: disable-error-code=empty-body


def with_docstring() -> int:
    """Return something."""
    ...


def with_pass() -> None:
    pass


async def coroutine() -> int:
    """Return something."""
    ...


class Stub:
    """A class of which nothing is written."""

    def __init__(self, app: object) -> None: ...

    async def __call__(self, scope: object) -> None:
        """Answer."""
        ...


@asynccontextmanager
async def generator_of_a_stub() -> AsyncIterator[None]:
    """Yield once."""
    ...
    yield


class Begun(Stub):
    def __init__(self, app: object) -> None:
        self.app = app


def returns_false() -> bool:
    return False


def returns_a_text() -> str:
    return ""


def yields() -> Iterator[int]:
    yield 1


async def awaits() -> None:
    await coroutine()


@pytest.mark.parametrize("answer", [with_docstring, with_pass, coroutine, Stub, lambda: None])
def test_what_does_nothing_is_a_stub(answer: Any) -> None:
    assert is_stub(answer)


@pytest.mark.parametrize(
    "answer",
    [Begun, returns_false, returns_a_text, yields, awaits, generator_of_a_stub, print],
    ids=lambda answer: answer.__name__,
)
def test_what_does_anything_is_an_attempt(answer: Callable[..., Any]) -> None:
    assert not is_stub(answer)


def test_a_short_value_is_shown_as_it_is() -> None:
    assert show("a\n") == "'a\\n'"


def test_a_long_value_is_shortened_in_its_middle() -> None:
    told = show("x" * 1_000_000)

    assert len(told) < 400
    assert told.endswith("xxx' (1000002 characters)")


def test_an_address_is_left_out_since_it_differs_from_run_to_run() -> None:
    assert show(object()) == "<object object>"


def test_a_caret_points_at_a_byte() -> None:
    assert caret(b"data: a\n\n", 7) == ("b'data: a\\n\\n'\n" + " " * 9 + "^ byte 7")


def test_a_caret_counts_the_escapes_before_it() -> None:
    first, second = caret(b"\n\n\x00x", 3).split("\n")

    assert first[second.index("^")] == "x"


def test_a_caret_in_a_text_counts_characters() -> None:
    assert caret("ab", 1).endswith("^ character 1")


def test_a_caret_behind_the_data_says_the_end() -> None:
    assert caret(b"ab", 2).endswith("^ the end")


def test_a_caret_far_into_the_data_leaves_out_what_is_before() -> None:
    first, second = caret(b"a" * 100 + b"Z" + b"b" * 100, 100).split("\n")

    assert first.startswith("…b'")
    assert first[second.index("^")] == "Z"
