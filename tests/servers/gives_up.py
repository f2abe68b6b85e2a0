"""s03, but a client that reads nothing for half a second is given up."""

from functools import partial

from sse_starlette import EventSourceResponse

from stages import s03_disconnect_aware as stage

vars(stage)["EventSourceResponse"] = partial(EventSourceResponse, send_timeout=0.5)
app = stage.app
