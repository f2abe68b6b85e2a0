"""The checks of s02 tell an encoder that survives every document from one that nearly does, and a
status that says the right thing to the client from one that says what the provider said to us.
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError, RateLimitError

from solutions.s02_json_safe import answer_for, encode
from stages.lab.checks import of_stage
from stages.lab.checks.s02_json_safe import build, encoder, statuses
from stages.lab.checks.s02_json_safe.failures import CASES
from stages.lab.exercises.outcome import Outcome

Told = tuple[int, dict[str, str]]


def test_the_exercises_stand_in_the_order_of_the_notebook() -> None:
    assert of_stage("s02_json_safe") == [encoder, statuses, build]


# The encoder.


def test_crlf_and_no_spaces_are_right_too() -> None:
    def with_crlf(event: str, document: Any) -> bytes:
        if not event or {"\r", "\n"} & set(event):
            raise ValueError(event)
        data = json.dumps(document, separators=(",", ":"), sort_keys=True)
        return b"event:%b\r\ndata:%b\r\n\r\n" % (event.encode("ascii"), data.encode("ascii"))

    outcome = encoder.check(with_crlf)

    assert outcome.state == "right"
    assert "All 22 documents arrive" in outcome.finding


def framed(event: str, data: str) -> bytes:
    return f"event: {event}\ndata: {data}\n\n".encode()


def gives_text(event: str, document: Any) -> str:
    return f"event: {event}\ndata: {json.dumps(document)}\n\n"


def gives_nothing(event: str, document: Any) -> None:
    print(gives_text(event, document))


def formats_the_document(event: str, document: Any) -> bytes:
    return framed(event, document)


def names_no_event(event: str, document: Any) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()


def ends_with_one_line_feed(event: str, document: Any) -> bytes:
    return framed(event, json.dumps(document)).removesuffix(b"\n")


def indents(event: str, document: Any) -> bytes:
    return framed(event, json.dumps(document, indent=2))


def quotes_by_hand(event: str, document: Any) -> bytes:
    members = (f'"{key}": "{value}"' for key, value in document.items())
    return framed(event, "{" + ", ".join(members) + "}")


def escapes_by_hand(event: str, document: Any) -> bytes:
    if "text" not in document:
        return framed(event, json.dumps(document))
    text = document["text"].replace("\n", "\\n")
    return framed(event, f'{{"index": {document["index"]}, "text": "{text}"}}')


def splits_the_text(event: str, document: Any) -> bytes:
    if "text" not in document:
        return framed(event, json.dumps(document))
    lines = [json.dumps(line)[1:-1] for line in document["text"].split("\n")]
    return framed(
        event,
        f'{{"index": {document["index"]}, "text": "{chr(10).join(lines)}"}}'.replace(
            "\n", "\ndata: "
        ),
    )


def keeps_other_letters(event: str, document: Any) -> bytes:
    return framed(event, json.dumps(document, ensure_ascii=False))


def drops_other_letters(event: str, document: Any) -> bytes:
    text = json.dumps(document, ensure_ascii=False)
    return f"event: {event}\ndata: {text}\n\n".encode("ascii", "ignore")


def repairs_surrogates(event: str, document: Any) -> bytes:
    text = json.dumps(document)
    return framed(event, text.replace("\\ud83d", "\\ufffd") if "half" in text else text)


def writes_only_what_is_true(event: str, document: Any) -> bytes:
    return framed(event, json.dumps(document or {}))


def expects_an_object(event: str, document: Any) -> bytes:
    return framed(event, json.dumps({**document}))


def cuts_what_is_long(event: str, document: Any) -> bytes:
    return framed(event, json.dumps(document)[:65_536])


def checks_no_name(event: str, document: Any) -> bytes:
    return framed(event, json.dumps(document))


def checks_for_lf_only(event: str, document: Any) -> bytes:
    if "\n" in event:
        raise ValueError(event)
    return framed(event, json.dumps(document))


def asserts_the_name(event: str, document: Any) -> bytes:
    assert event.isidentifier()
    return framed(event, json.dumps(document))


def mends_the_name(event: str, document: Any) -> bytes:
    return encode(" ".join(event.split()) or "message", document)


def takes_an_empty_name(event: str, document: Any) -> bytes:
    return encode(event, document) if event else framed("message", json.dumps(document))


def takes_any_letter_in_a_name(event: str, document: Any) -> bytes:
    if len(event.splitlines()) != 1 or event.endswith("\n"):
        raise ValueError(event)
    return framed(event, json.dumps(document))


WRONG_ENCODERS: list[tuple[Callable[[Any, Any], Any], list[str]]] = [
    (gives_text, ["'event: token\\ndata", "and no bytes", "A connection takes bytes"]),
    (gives_nothing, ["None, and no bytes"]),
    (formats_the_document, ["data that is no JSON", "^ character 1", "double quotes"]),
    (names_no_event, ["event 'message'", "event 'token'", "a line `event: NAME`"]),
    (ends_with_one_line_feed, ["without the blank line that ends it", "^ the end"]),
    (indents, ["a line that every client drops", '  "index": 0', "^ byte 21"]),
    (quotes_by_hand, ["event 'token' with {'index': '0', 'text': 'The'}", "^ character 10"]),
    (escapes_by_hand, ["data that is no JSON", "say", "quotes, backslashes and control"]),
    (splits_the_text, ["data that is no JSON", '"one\\n', "in JSON they are \\n and \\r"]),
    (keeps_other_letters, ["the byte 0xc3, which is not ASCII", "caf\\xc3", "\\uXXXX"]),
    (drops_other_letters, ["'text': 'caf '", "\\uXXXX"]),
    (repairs_surrogates, ["'half \ufffd'", "'half \\ud83d'"]),
    (writes_only_what_is_true, ["encode('note', '')", "with {}", "A document is"]),
    (expects_an_object, ["TypeError", "line ", "A document is"]),
    (cuts_what_is_long, ["data that is no JSON", "(1000"]),
    (checks_no_name, ["encode('token\\ndata: forged', {})", "^ byte 12", "line of its own"]),
    (checks_for_lf_only, ["encode('token\\rdata: forged', {})", "ValueError", "line of its own"]),
    (asserts_the_name, ["AssertionError", "expected  ValueError"]),
    (mends_the_name, ["b'event: token data: forged", "ValueError"]),
    (takes_an_empty_name, ["encode('', {})", "has the type `message`"]),
    (takes_any_letter_in_a_name, ["encode('r\u00e9ponse', {})", "^ byte 8", "has no escapes"]),
]


@pytest.mark.parametrize(
    ("wrong", "words"), WRONG_ENCODERS, ids=lambda it: getattr(it, "__name__", "")
)
def test_an_encoder_that_is_nearly_right_is_told_what_is_wrong(
    wrong: Callable[[Any, Any], Any], words: list[str]
) -> None:
    assert_not_yet(encoded(wrong), words)


@cache
def encoded(wrong: Callable[[Any, Any], Any]) -> Outcome:
    return encoder.check(wrong)


def test_each_wrong_encoder_gets_a_message_of_its_own() -> None:
    told = [encoded(wrong).lines for wrong, _ in WRONG_ENCODERS]

    assert len({json.dumps(lines) for lines in told}) == len(told)


# The statuses.


def test_class_patterns_and_a_header_in_lower_case_are_right_too() -> None:
    def by_pattern(exc: BaseException) -> Told:
        match exc:
            case RateLimitError(response=response) if "Retry-After" in response.headers:
                return 429, {"retry-after": response.headers["RETRY-AFTER"]}
            case RateLimitError():
                return 429, {}
            case APITimeoutError():
                return 504, {}
            case APIError():
                return 502, {}
        raise exc

    outcome = statuses.check(by_pattern)

    assert outcome.state == "right"
    assert f"All {len(CASES)} failures become" in outcome.finding


def passes_the_status_on(exc: Any) -> Told:
    return (exc.status_code, {}) if exc.status_code != 429 else answer_for(exc)


def tells_all_that_we_are_broken(exc: Any) -> Told:
    return answer_for(exc) if isinstance(exc, RateLimitError) else (500, {})


def forgets_retry_after(exc: Any) -> Told:
    return (429, {}) if isinstance(exc, RateLimitError) else answer_for(exc)


def looks_up_retry_after(exc: Any) -> Told:
    if isinstance(exc, RateLimitError):
        return 429, {"Retry-After": exc.response.headers["Retry-After"]}
    return answer_for(exc)


def makes_a_dict_of_the_headers(exc: Any) -> Told:
    if isinstance(exc, RateLimitError):
        headers = dict(exc.response.headers)
        return 429, {"Retry-After": headers["Retry-After"]} if "Retry-After" in headers else {}
    return answer_for(exc)


def sends_no_value(exc: Any) -> Any:
    if isinstance(exc, RateLimitError):
        return 429, {"Retry-After": exc.response.headers.get("Retry-After")}
    return answer_for(exc)


def makes_one_up(exc: Any) -> Told:
    status, headers = answer_for(exc)
    return status, headers or ({"Retry-After": "1"} if status == 429 else {})


def reads_a_number(exc: Any) -> Told:
    status, headers = answer_for(exc)
    return status, {name: str(int(value)) for name, value in headers.items()}


def believes_milliseconds(exc: Any) -> Told:
    if isinstance(exc, RateLimitError) and (ms := exc.response.headers.get("retry-after-ms")):
        return 429, {"Retry-After": str(int(ms) // 1000)}
    return answer_for(exc)


def passes_every_retry_after_on(exc: Any) -> Told:
    status, _ = answer_for(exc)
    response = getattr(exc, "response", None)
    after = response.headers.get("retry-after") if response is not None else None
    return status, {"Retry-After": after} if after else {}


def asks_for_the_connection_first(exc: Any) -> Told:
    return (502, {}) if isinstance(exc, APIConnectionError) else answer_for(exc)


def needs_a_status(exc: Any) -> Told:
    if isinstance(exc, APITimeoutError | RateLimitError):
        return answer_for(exc)
    if exc.status_code >= 400:
        return 502, {}
    raise exc


def knows_answers_only(exc: Any) -> Told:
    if isinstance(exc, APIStatusError | APIConnectionError):
        return answer_for(exc)
    raise exc


def swallows(exc: Any) -> Told:
    return answer_for(exc) if isinstance(exc, APIError) else (502, {})


def swallows_what_ends_a_task(exc: Any) -> Told:
    if isinstance(exc, APIError):
        return answer_for(exc)
    if isinstance(exc, Exception):
        raise exc
    return 502, {}


def raises_another(exc: Any) -> Told:
    if isinstance(exc, APIError):
        return answer_for(exc)
    raise RuntimeError("not a refusal") from exc


def hands_it_back(exc: Any) -> Any:
    return answer_for(exc) if isinstance(exc, APIError) else exc


def treats_ours_like_theirs(exc: Any) -> Told:
    return (502, {}) if isinstance(exc, ConnectionError) else answer_for(exc)


def gives_a_status_only(exc: Any) -> Any:
    return answer_for(exc)[0]


WRONG_STATUSES: list[tuple[Callable[[Any], Any], list[str]]] = [
    (gives_a_status_only, ["got       429", "(429, {'Retry-After': '7'})"]),
    (forgets_retry_after, ["the provider says 429, Retry-After: 7", "got       (429, {})"]),
    (makes_a_dict_of_the_headers, ["got       (429, {})", "expected  (429, {'Retry-After': '7'})"]),
    (looks_up_retry_after, ["KeyError", "line ", "only if it gave one"]),
    (sends_no_value, ["(429, {'Retry-After': None})", "only if it gave one"]),
    (makes_one_up, ["(429, {'Retry-After': '1'})", "expected  (429, {})"]),
    (passes_the_status_on, ["an AuthenticationError", "(401, {})", "(502, {})", "our key"]),
    (tells_all_that_we_are_broken, ["an AuthenticationError", "(500, {})"]),
    (passes_every_retry_after_on, ["503, Retry-After: 120", "expected  (502, {})", "with 429"]),
    (needs_a_status, ["the provider does not listen", "AttributeError", "'status_code'"]),
    (
        asks_for_the_connection_first,
        ["an APITimeoutError", "(502, {})", "APIError > APIConnectionError > APITimeoutError"],
    ),
    (knows_answers_only, ["sends an error in its stream", "APIError: ", "without a status"]),
    (reads_a_number, ["Fri, 31 Dec 1999", "ValueError", "as it came"]),
    (believes_milliseconds, ["retry-after-ms: 1500", "(429, {'Retry-After': '1'})"]),
    (swallows, ["answer_for(KeyError('choices'))", "(502, {})", "KeyError('choices') itself"]),
    (raises_another, ["RuntimeError: not a refusal", "KeyError('choices') itself, raised"]),
    (hands_it_back, ["got       KeyError('choices')", "KeyError('choices') itself, raised"]),
    (treats_ours_like_theirs, ["ConnectionError('of ours')", "no failure of the provider"]),
    (swallows_what_ends_a_task, ["answer_for(CancelledError())", "(502, {})"]),
]


@pytest.mark.parametrize(
    ("wrong", "words"), WRONG_STATUSES, ids=lambda it: getattr(it, "__name__", "")
)
def test_a_status_that_is_nearly_right_is_told_what_is_wrong(
    wrong: Callable[[Any], Any], words: list[str]
) -> None:
    assert_not_yet(answered(wrong), words)


@cache
def answered(wrong: Callable[[Any], Any]) -> Outcome:
    return statuses.check(wrong)


def test_each_wrong_status_gets_a_message_of_its_own() -> None:
    same = (forgets_retry_after, makes_a_dict_of_the_headers)  # the client is told the same
    told = [answered(wrong).lines for wrong, _ in WRONG_STATUSES if wrong is not same[0]]

    assert len({json.dumps(lines) for lines in told}) == len(told)


# All of them.


def assert_not_yet(outcome: Outcome, words: list[str]) -> None:
    assert outcome.state == "not yet"
    assert [word for word in words if word not in repr(outcome)] == []


def test_the_solutions_are_shown_with_what_they_need() -> None:
    assert "import json\n" in repr(encoder.solution())
    assert "def encode(event" in repr(encoder.solution())
    assert "from openai import APIError, APITimeoutError, RateLimitError" in repr(
        statuses.solution()
    )
    assert "def answer_for(exc" in repr(statuses.solution())


def test_the_build_starts_from_stage_1_and_asks_for_the_probes_of_stage_2() -> None:
    text = build.as_started()

    assert 'yield f"data: {chunk.choices[0].delta.content' in text
    assert "#   failure-is-told" in text
