"""The wire format of an OpenAI-compatible provider: each step of a script as bytes.

Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

import json
import time
from typing import Any

from stages.lab.upstream.script import (
    Done,
    Empty,
    Finish,
    InBandError,
    Raw,
    Refusal,
    Role,
    Script,
    Step,
    Token,
    ToolCall,
    Usage,
)

PLAIN_DELAY_S = 0.06  # 16 tokens/s: slow for a model, and the eye sees the events come one by one

PARAGRAPHS = (
    "A stream is a promise kept in small parts. The first part says that work has begun, the last "
    "part says how it ended, and a reader who sees no last part knows that something is missing.",
    "Tokens leave a model one at a time. A server may hold them back until the answer is whole, or "
    "pass each one on at once.\n\n- Held back, the reader waits and sees nothing.\n- Passed on, "
    "the reader starts to read at once, and the server has a connection to look after.",
    "Between a model and a reader there are many buffers: one in each program, one in each kernel, "
    "and one in every proxy on the way. Each is there to help, and each can hide a stall.",
)


def plain_script(prompt: str) -> Script:
    """Return the answer to a prompt that names no script: running text, 50 tokens a second."""
    words = PARAGRAPHS[len(prompt) % len(PARAGRAPHS)].split(" ")
    return Script.answer(words[0], *(f" {word}" for word in words[1:]), delay_s=PLAIN_DELAY_S)


class Wire:
    """Encodes one answer. Every chunk of it repeats its id, the time of its start and its model."""

    def __init__(self, answer_id: str, model: str) -> None:
        self._head = {"id": answer_id, "created": int(time.time()), "model": model}
        # Content deltas differ in their text only. With a json.dumps of the whole document for
        # each, the upstream is slower than a client that reads, and a firehose is none.
        before, _, after = self._event(self._delta({"content": "TEXT"})).rpartition(b'"TEXT"')
        self._before_text, self._after_text = before, after

    def chunk(self, step: Step) -> bytes:
        """Return the bytes of a step that sends one chunk; raises TypeError for any other."""
        match step:
            case Raw(text):
                return text.encode("utf-8", "surrogatepass")
            case Done():
                return b"data: [DONE]\n\n"
            case Token(text):
                return self.content(text)
        return self._event(self._document(step))

    def content(self, text: str) -> bytes:
        """Return the bytes of one content delta."""
        return self._before_text + json.dumps(text).encode() + self._after_text

    def whole(self, script: Script) -> bytes:
        """Return the body for a request without `stream`: the script's text in one JSON document.

        What a script does in the course of a stream (delays, errors, a cut) has no place in it.
        """
        steps = script.steps
        reason = next((step.reason for step in steps if isinstance(step, Finish)), None)
        counted = Usage(7, sum(isinstance(step, Token) for step in steps))
        counts = next((step for step in steps if isinstance(step, Usage)), counted)
        message = {"role": "assistant", "content": script.text}
        document = {
            **self._head,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": usage(counts.prompt_tokens, counts.completion_tokens),
        }
        return json.dumps(document).encode()

    def _event(self, document: dict[str, Any]) -> bytes:
        return b"data: " + json.dumps(document).encode() + b"\n\n"

    def _document(self, step: Step) -> dict[str, Any]:
        match step:
            case Role():
                return self._delta({"role": "assistant", "content": ""})
            case ToolCall():
                return self._delta({"tool_calls": [_tool_call(step)]})
            case Finish(reason):
                return self._delta({}, reason)
            case Empty():
                return self._chunk([])
            case Usage(prompt_tokens, completion_tokens):
                return self._chunk([]) | {"usage": usage(prompt_tokens, completion_tokens)}
            case InBandError(message, code):
                return error_body(message, code)
        raise TypeError(f"{step} sends no chunk")

    def _delta(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._chunk([choice])

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._head, "object": "chat.completion.chunk", "choices": choices}


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """Return a usage object."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def error_body(message: str, code: str | None) -> dict[str, Any]:
    """Return the JSON body of an error."""
    return {"error": {"message": message, "type": code, "param": None, "code": code}}


def refusal_body(refusal: Refusal) -> bytes:
    """Return the body of an HTTP refusal."""
    return json.dumps(error_body(refusal.message, refusal.code)).encode()


def _tool_call(step: ToolCall) -> dict[str, Any]:
    call: dict[str, Any] = {"index": step.index, "function": {"arguments": step.arguments}}
    if step.id is not None:
        call |= {"id": step.id, "type": "function"}
    if step.name is not None:
        call["function"]["name"] = step.name
    return call
