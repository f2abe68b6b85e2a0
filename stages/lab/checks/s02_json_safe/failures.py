"""Failures of a provider as the real SDK raises them, and what a client should be told of each."""

import asyncio
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from openai import APIError, AsyncOpenAI, DefaultAsyncHttpxClient

from stages.lab.processes.serve import API_KEY, upstream
from stages.lab.upstream.checked import Headers
from stages.lab.upstream.script import InBandError, Refusal, Role, Script

PATIENT_S = 30.0  # the upstream answers in milliseconds; the rest is for a busy machine
SILENT_S = 60.0  # of an upstream that is given up
HASTY_S = 0.3  # until it is: long enough to connect, short enough to wait for

STATUS = "(RFC 9110, section 15.6, https://www.rfc-editor.org/rfc/rfc9110#section-15.6)"
OURS = (
    "The provider refuses our key and our request, and not those of the client: 502, bad gateway "
    f"{STATUS}."
)
BUSY = (
    "429 stays 429, with the provider's `Retry-After` as it came, and only if it gave one "
    "(RFC 9110, section 10.2.3, https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)."
)
NOT_BUSY = (
    f"Any other refusal is 502; a `Retry-After` goes with 429, and with nothing else {STATUS}."
)
SILENT = (
    "504, gateway timeout, is for a provider that does not answer in time; in the SDK, "
    "APITimeoutError is a kind of APIConnectionError (RFC 9110, section 15.6.5, "
    "https://www.rfc-editor.org/rfc/rfc9110#section-15.6.5)."
)
UNREACHED = f"Nobody answers at all: 502, bad gateway; there is no response to look at {STATUS}."
IN_STREAM = (
    "An error that comes in the stream is an APIError without a status and a response: 502 "
    "(https://github.com/openai/openai-python#handling-errors)."
)
OTHER = (
    "What is no APIError is no failure of the provider. Raised again, a mistake of ours is found, "
    "and a cancelled task ends (https://docs.python.org/3/library/asyncio-exceptions.html)."
)


@dataclass(frozen=True)
class Case:
    """What the provider does, and what the client should be told: a status and headers."""

    does: str
    script: Script | None  # None: nobody listens
    status: int
    headers: Mapping[str, str]
    rule: str
    timeout_s: float = PATIENT_S


def refused(status: int, rule: str, told: int = 502, **sent: str) -> Case:
    """Return a case in which the provider refuses; `sent` are headers, with _ for a hyphen."""
    headers: Headers = tuple((name.replace("_", "-"), value) for name, value in sent.items())
    does = f"says {status}" + "".join(f", {name}: {value}" for name, value in headers)
    script = Script(refusal=Refusal(status, "No.", headers=headers))
    after = {"Retry-After": sent["Retry_After"]} if told == 429 and "Retry_After" in sent else {}
    return Case(does, script, told, after, rule)


CASES = (
    refused(429, BUSY, 429, Retry_After="7"),
    refused(429, BUSY, 429),
    *(refused(status, OURS) for status in (401, 403, 404, 400, 409, 422, 500, 503)),
    refused(503, NOT_BUSY, Retry_After="120"),
    Case("does not listen", None, 502, {}, UNREACHED),
    Case("is silent", Script(headers_after_s=SILENT_S), 504, {}, SILENT, HASTY_S),
    Case("sends an error in its stream", Script((Role(), InBandError())), 502, {}, IN_STREAM),
    refused(429, BUSY, 429, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"),
    refused(429, BUSY, 429, retry_after_ms="1500"),
)

# None of them comes from the SDK; the last one ends a task, and is no Exception.
OTHERS: tuple[BaseException, ...] = (
    KeyError("choices"),
    TimeoutError("of ours"),
    ConnectionError("of ours"),
    asyncio.CancelledError(),
)


async def failures() -> list[APIError]:
    """Return what the SDK raises in each case, with the scripted upstream for a provider."""
    with upstream() as provider, nobody() as nowhere:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENT_S) as http:
            for number, case in enumerate(CASES):
                if case.script is not None:
                    url = f"{provider.url}/scripts/c{number}"
                    (await http.put(url, content=case.script.to_json())).raise_for_status()
        asked = (
            _failure(nowhere if case.script is None else provider.url, number, case)
            for number, case in enumerate(CASES)
        )
        return await asyncio.gather(*asked)


@contextmanager
def nobody() -> Iterator[str]:
    """Hold a port on which nobody listens; gives its address."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


async def _failure(url: str, number: int, case: Case) -> APIError:
    # A proxy would be asked for loopback, too; and certificates take 40 ms to load.
    http = DefaultAsyncHttpxClient(trust_env=False, verify=False)
    async with AsyncOpenAI(
        base_url=f"{url}/v1",
        api_key=API_KEY,
        max_retries=0,
        timeout=case.timeout_s,
        http_client=http,
    ) as client:
        try:
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": f"script:c{number}"}], stream=True
            )
            async for _ in stream:
                pass
        except APIError as exc:
            return exc
    raise RuntimeError(f"The provider {case.does}, and the SDK raised nothing.")
