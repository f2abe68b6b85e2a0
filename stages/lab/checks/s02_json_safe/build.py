"""The exercise `build` of s02: its hints. What it asks for, the probes say."""

from stages.lab.exercises.build import Build

build = Build(
    number=2,
    minutes=75,
    difficulty="hard",
    hints=(
        "Look at three places of the naive server. `events` writes text into the format, and an "
        "f-string keeps nothing apart. The response, and with it status 200, begins before "
        "anybody has asked the upstream. And the loop ends in one way only, whether the model "
        "has said that it is done or the connection was closed.",
        "`EventSourceResponse` of sse-starlette takes dicts with `event` and `data`, and sends "
        "comments every `ping` seconds; `json.dumps` makes the data. What is awaited in the "
        "handler raises before there is a response, and `@app.exception_handler(APIError)` makes "
        "a status of it; so does one for `RequestValidationError`, once a pydantic model says "
        "what a request is. `AsyncOpenAI(max_retries=0)` hands on a refusal at once. "
        "`stream_options={'include_usage': True}` asks for the usage; its chunk has no choices.",
        "The shape of the generator, with `finish_reason` and `usage` set in the loop, and an "
        "`event` and a `problem` of your own:\n\n"
        "    try:\n"
        "        async for chunk in stream:\n"
        "            for choice in chunk.choices:  # token events\n"
        "                ...\n"
        "        if finish_reason is None:\n"
        "            raise EOFError\n"
        "    except Exception as exc:  # to the log with it\n"
        "        yield event('error', **problem('upstream_failed', 'The answer broke off.'))\n"
        "    else:\n"
        "        yield event('done', finish_reason=finish_reason, usage=usage)\n\n"
        "The handler gets a ChatRequest, awaits `create`, and returns "
        "`EventSourceResponse(events(stream), ping=PING_S)` with PING_S from the environment.",
    ),
)
