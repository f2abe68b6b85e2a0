"""Calls its app by another name, and something else by this one."""

from starlette.applications import Starlette

server = Starlette()
settings = {"debug": True}
