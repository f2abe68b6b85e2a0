"""The scripted upstream: a provider that does what a script says, and notes what it sees.

Nothing here knows of the server that asks it.
"""
