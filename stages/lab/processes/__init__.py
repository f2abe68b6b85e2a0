"""Processes: what runs beside this one; started, watched, and never left behind.

Nothing here knows what a server answers, or when that is good.
"""
