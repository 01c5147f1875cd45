"""Asks running parts how they are. Every question has a deadline; no answer is a value, not an error."""
