"""Scaling by load: readings become rates, rates become averages, averages become decisions.

Pure, like the whole planner: time comes in as an argument, what is remembered goes in and out as a
value. From readings that are missing, stale or absurd follows nothing but that a tier holds.
"""
