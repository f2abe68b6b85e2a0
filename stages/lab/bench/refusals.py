"""Refusals: a server that says no before the first byte says it as an HTTP status and in JSON."""

import json

from stages.lab.bench.verdict import Moment, Timeline
from stages.lab.clients.client import Client

WAITED_S = 10.0  # a refusal takes milliseconds


async def refused(client: Client) -> Client:
    """Ask, and read to the end unless the status is 200: then it is no refusal."""
    async with client:
        await client.read(lambda: client.status == 200, deadline_s=WAITED_S)
    return client


def not_status(client: Client, status: int) -> str | None:
    """Return what is wrong with a refusal, None when it is as the contract says."""
    if client.status != status:
        return f"status {client.status} instead of {status}"
    try:
        keys = set(json.loads(bytes(client.body)))
    except (ValueError, TypeError):
        return f"status {status}, but the body is not a JSON object"
    missing = {"code", "message", "request_id"} - keys
    return f"the body has no {', '.join(sorted(missing))}" if missing else None


def status_timeline(client: Client) -> Timeline:
    """Return when the status came, as a timeline."""
    at_s = (client.headers_s or client.sent_s) - client.sent_s
    return (Moment(at_s, "client", f"status {client.status}"),)
