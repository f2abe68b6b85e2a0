"""Clients: what reads a server's answer over a raw socket, in each way that people have.

Nothing here knows of an upstream, or judges what it reads.
"""
