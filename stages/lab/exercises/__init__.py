"""Exercises: how a learner's answer is asked for, checked and remembered.

Which exercises there are is in `stages.lab.checks`.
"""
