"""A script arrives as it was written, and one that cannot be played is refused in plain words."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.lab.upstream.script import (
    STEPS,
    Cut,
    Done,
    Empty,
    Finish,
    Firehose,
    InBandError,
    Pause,
    Raw,
    Refusal,
    Role,
    Script,
    ScriptError,
    Step,
    Token,
    ToolCall,
    Usage,
)


def as_json_has_it(text: str) -> str:
    """The text with each pair of surrogates as the character that it stands for."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


texts = st.text(st.characters(exclude_categories=())).map(as_json_has_it)
seconds = st.floats(0, 1e9) | st.integers(0, 100)
counts = st.integers(0, 10**12)
names = st.from_regex(r"x-[a-z0-9-]{1,10}", fullmatch=True)
values = st.from_regex(r"([!-~]([ \t!-~]{0,20}[!-~])?)?", fullmatch=True)
headers = st.lists(st.tuples(names, values), max_size=3).map(tuple)

STEP_STRATEGIES: dict[str, st.SearchStrategy[Step]] = {
    "Role": st.just(Role()),
    "Token": st.builds(Token, texts, seconds),
    "Pause": st.builds(Pause, seconds),
    "Empty": st.just(Empty()),
    "ToolCall": st.builds(ToolCall, counts, texts, st.none() | texts, st.none() | texts),
    "Finish": st.builds(Finish, texts),
    "Usage": st.builds(Usage, counts, counts, st.booleans()),
    "Done": st.just(Done()),
    "InBandError": st.builds(InBandError, texts, texts),
    "Raw": st.builds(Raw, texts),
    "Firehose": st.builds(Firehose, counts),
    "Cut": st.builds(Cut, st.sampled_from(["between chunks", "mid chunk"]), st.booleans()),
}
steps = st.one_of(*STEP_STRATEGIES.values())
refusals = st.builds(Refusal, st.integers(400, 599), texts, st.none() | texts, headers)
scripts = st.builds(
    Script,
    st.lists(steps, max_size=5).map(tuple),
    seconds,
    headers,
    st.none() | refusals,
    st.booleans(),
)

# No deadline: a busy machine is no mistake of the script. Derandomized: no failure is luck.
thorough = settings(deadline=None, derandomize=True, max_examples=100)


# The way to the upstream and back.


@thorough
@given(scripts)
def test_a_script_survives_json(script: Script) -> None:
    assert Script.from_json(script.to_json()) == script


@thorough
@given(texts)
def test_the_json_of_a_script_is_ascii(text: str) -> None:
    """So it passes every codec on the way, also with half a surrogate pair in it."""
    assert Script((Token(text),)).to_json().isascii()


def test_every_step_is_tried() -> None:
    assert set(STEP_STRATEGIES) == set(STEPS)


def test_half_a_surrogate_pair_survives_json() -> None:
    script = Script((Token("a\ud83d"), Token("\ude00b")))

    assert Script.from_json(script.to_json()) == script


def test_equal_steps_in_a_row_travel_as_one() -> None:
    script = Script((Role(), *[Token("x" * 1000)] * 500, Token("b"), Token("b", delay_s=0.1)))

    assert len(script.to_json()) < 2000
    assert Script.from_json(script.to_json()) == script


def test_a_script_is_read_from_bytes_too() -> None:
    assert Script.from_json(b'{"steps": [{"do": "Token", "text": "a"}]}') == Script((Token("a"),))


def test_what_a_script_does_not_say_has_its_default() -> None:
    assert Script.from_json("{}") == Script()


# What a script says.


def test_an_answer_has_all_that_a_complete_answer_has() -> None:
    script = Script.answer("a", "b", delay_s=0.5, headers_after_s=2)

    assert script == Script(
        (
            Role(),
            Token("a", 0.5),
            Token("b", 0.5),
            Finish("stop"),
            Usage(7, 2, only_if_asked=True),
            Done(),
        ),
        headers_after_s=2,
    )


def test_the_text_of_a_script_is_that_of_its_tokens() -> None:
    script = Script((Role(), Token("Hi "), Pause(1), Raw(": no text\n"), Firehose(3), Token("!")))

    assert script.text == "Hi 0 1 2 !"


# What is wrong with it, and what is allowed.


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("[]", "A Script is a JSON object, and this is []."),
        ("[" * 100_000, "maximum recursion depth exceeded"),
        ('{"steps": null}', "Script has steps=None. Allowed is a list."),
        ('{"steps": {}}', "Script has steps={}. Allowed is a list."),
        (
            '{"step": []}',
            "Script has no field 'step'. "
            "Its fields: steps, headers_after_s, headers, refusal, byte_at_a_time.",
        ),
        ('{"headers_after_s": "1"}', "Script has headers_after_s='1'. Allowed is a number from 0"),
        ('{"headers_after_s": NaN}', "Script has headers_after_s=nan. Allowed is a number from 0"),
        ('{"byte_at_a_time": 1}', "Script has byte_at_a_time=1. Allowed is true or false."),
        ('{"refusal": 500}', "A Refusal is a JSON object, and this is 500."),
        (
            '{"refusal": {}}',
            "Refusal needs the field 'status'. Its fields: status, message, code, headers.",
        ),
        ('{"refusal": {"status": 200}}', "Refusal has status=200. Allowed is 400 to 599."),
        ('{"refusal": {"status": "429"}}', "Refusal has status='429'. Allowed is 400 to 599."),
        (
            '{"refusal": {"status": 400, "code": 1}}',
            "Refusal has code=1. Allowed is a text or null",
        ),
    ],
)
def test_a_script_that_cannot_be_played_is_refused(document: str, complaint: str) -> None:
    with pytest.raises(ScriptError) as raised:
        Script.from_json(document)

    assert str(raised.value).startswith(f"This is not a script: {complaint}")


KNOWN = "Role, Token, Pause, Empty, ToolCall, Finish, Usage, Done, InBandError, Raw, Firehose, Cut."


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ("Token", f"The step 'Token' has no known `do`. Known: {KNOWN}"),
        ({}, f"The step {{}} has no known `do`. Known: {KNOWN}"),
        ({"do": "Tokens"}, f"The step {{'do': 'Tokens'}} has no known `do`. Known: {KNOWN}"),
        ({"do": []}, f"The step {{'do': []}} has no known `do`. Known: {KNOWN}"),
        ({"do": "Role", "name": "x"}, "Role has no field 'name'. Its fields: none."),
        ({"do": "Token"}, "Token needs the field 'text'. Its fields: text, delay_s."),
        (
            {"do": "Token", "text": "a", "delay": 1},
            "Token has no field 'delay'. Its fields: text, delay_s.",
        ),
        ({"do": "Token", "text": None}, "Token has text=None. Allowed is a text."),
        ({"do": "Pause", "seconds": -1}, "Pause has seconds=-1. Allowed is a number from 0 up."),
        ({"do": "Pause", "seconds": True}, "Pause has seconds=True. Allowed is a number from 0"),
        (
            {"do": "Firehose", "count": 1.5},
            "Firehose has count=1.5. Allowed is a whole number from",
        ),
        (
            {"do": "Cut", "where": "at the end"},
            "Cut has where='at the end'. Allowed is 'between chunks' or 'mid chunk'.",
        ),
        ({"do": "Role", "times": 0}, "A step has times=0. Allowed is 1 to 1000000."),
        ({"do": "Role", "times": True}, "A step has times=True. Allowed is 1 to 1000000."),
        (
            {"do": "Cut", "where": []},
            "Cut has where=(). Allowed is 'between chunks' or 'mid chunk'.",
        ),
    ],
)
def test_a_step_that_cannot_be_played_is_refused(step: Any, complaint: str) -> None:
    with pytest.raises(ScriptError) as raised:
        Script.from_json(json.dumps({"steps": [{"do": "Role"}, step]}))

    assert str(raised.value).startswith(f"This is not a script: {complaint}")


@pytest.mark.parametrize(
    "headers",
    [
        "x-a: b",
        [["x-a"]],
        [["x-a", 1]],
        [["x a", "b"]],
        [["", "b"]],
        [["x-a", "b\r\nx-c: d"]],
        [["x-a", " b"]],
        [["x-a", "\u00e9"]],
        [["Content-Length", "5"]],
        [["transfer-encoding", "gzip"]],
    ],
)
def test_headers_that_cannot_be_sent_are_refused(headers: Any) -> None:
    with pytest.raises(ScriptError) as raised:
        Script.from_json(json.dumps({"headers": headers}))

    assert str(raised.value).endswith(
        "Allowed is pairs of a name and a value in ASCII, without content-length and "
        "transfer-encoding."
    )


def test_a_long_value_is_not_repeated_in_full() -> None:
    with pytest.raises(ScriptError) as raised:
        Script.from_json(json.dumps({"steps": "x" * 1_000_000}))

    assert len(str(raised.value)) < 200


def test_a_mistake_in_python_is_seen_where_it_is_made() -> None:
    with pytest.raises(ValueError, match=r"^Token has delay_s=-1\. Allowed is a number from 0 up"):
        Token("a", -1)
