"""The wire format of an OpenAI-compatible provider: each step of a script as bytes.

Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

import json
import time
from typing import Any

from stages.lab.script import (
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

PLAIN_DELAY_S = 0.02  # 50 tokens/s: a common speed, and the eye sees the events come one by one

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
    """Encodes the steps of one answer. Every chunk of an answer repeats its id and its model."""

    def __init__(self, answer_id: str, model: str) -> None:
        self._head = {
            "id": answer_id,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }

    def chunk(self, step: Step) -> bytes:
        """Return the bytes of a step that sends one chunk; raises TypeError for any other."""
        if isinstance(step, Raw):
            return step.text.encode("utf-8", "surrogatepass")
        if isinstance(step, Done):
            return b"data: [DONE]\n\n"
        return b"data: " + json.dumps(self._document(step)).encode() + b"\n\n"

    def content(self, text: str) -> bytes:
        """Return the bytes of one content delta."""
        return self.chunk(Token(text))

    def _document(self, step: Step) -> dict[str, Any]:
        match step:
            case Role():
                return self._delta({"role": "assistant", "content": ""})
            case Token(text):
                return self._delta({"content": text})
            case ToolCall():
                return self._delta({"tool_calls": [_tool_call(step)]})
            case Finish(reason):
                return self._delta({}, reason)
            case Empty():
                return {**self._head, "choices": []}
            case Usage(prompt_tokens, completion_tokens):
                return {
                    **self._head,
                    "choices": [],
                    "usage": usage(prompt_tokens, completion_tokens),
                }
            case InBandError(message, code):
                return error_body(message, code)
        raise TypeError(f"{step} sends no chunk")

    def _delta(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._head, "choices": [choice]}


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


def whole_answer(script: Script, answer_id: str, model: str) -> bytes:
    """Return the body of a request without `stream`: the same text in one JSON document."""
    message = {"role": "assistant", "content": script.text}
    reason = next((step.reason for step in script.steps if isinstance(step, Finish)), None)
    tokens = sum(isinstance(step, Token) for step in script.steps)
    document = {
        "id": answer_id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": usage(7, tokens),
    }
    return json.dumps(document).encode()


def _tool_call(step: ToolCall) -> dict[str, Any]:
    call: dict[str, Any] = {"index": step.index, "function": {"arguments": step.arguments}}
    if step.id is not None:
        call |= {"id": step.id, "type": "function"}
    if step.name is not None:
        call["function"]["name"] = step.name
    return call
