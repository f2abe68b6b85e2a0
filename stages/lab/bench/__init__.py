"""The bench: a server between a client of ours and an upstream of ours, and what both saw of it.

No probe stands here: a bench measures, and does not ask a question.
"""
