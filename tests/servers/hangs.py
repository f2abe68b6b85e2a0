"""Waits for something at import that does not come."""

import threading

from starlette.applications import Starlette

threading.Event().wait()  # the line that the message must show

app = Starlette()
