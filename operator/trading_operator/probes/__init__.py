"""Asks running parts how they are. Every question has a deadline.

No answer is a value, not an error.
"""
