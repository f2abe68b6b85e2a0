"""A log says what was raised last and at which line of a learner's file, or where that hangs."""

from stages.lab.processes import tracebacks

SOURCE = ("import os", "def f():", "    return {}['x']", "f()")
RAISED = """\
INFO:     Application startup complete.
ERROR:    Exception in ASGI application
Traceback (most recent call last):
  File "/somewhere/work/s03.py", line 4, in <module>
  File "/somewhere/work/s03.py", line 3, in f
  File "/lib/site-packages/other.py", line 9, in g
KeyError: 'x'
"""
HANGS = """\
Current thread 0x01 (most recent call first):
  File "/lib/threading.py", line 327 in wait
  File "/somewhere/work/s03.py", line 3 in f
  File "/somewhere/work/s03.py", line 4 in <module>
"""


def test_a_traceback_has_its_last_line_last() -> None:
    assert tracebacks.last(RAISED, "s03.py", SOURCE) == ("KeyError: 'x'", "line 3: return {}['x']")


def test_a_stack_of_a_hang_has_its_last_line_first() -> None:
    assert tracebacks.last(HANGS, "s03.py", SOURCE) == ("", "line 3: return {}['x']")


def test_a_group_is_read_behind_its_bars() -> None:
    grouped = "".join(f"    | {line}\n" for line in RAISED.splitlines())

    assert tracebacks.last(grouped, "s03.py", SOURCE)[0] == "KeyError: 'x'"


def test_a_log_without_the_file_names_no_line() -> None:
    assert tracebacks.last(RAISED, "s04.py", SOURCE) == ("KeyError: 'x'", "")


def test_a_source_that_is_not_known_leaves_the_number() -> None:
    assert tracebacks.last(RAISED, "s03.py", ()) == ("KeyError: 'x'", "line 3")


def test_an_empty_log_says_nothing() -> None:
    assert tracebacks.last("", "s03.py", SOURCE) == ("", "")
