"""Starts a process of its own, and ends at the first request, as by a fault in a C library."""

import os
import subprocess

from starlette.types import Receive, Scope, Send

print("started", subprocess.Popen(["sleep", "1000"]).pid)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        print("got a request")
        os._exit(7)
