"""From a look at a live cluster to the planner of scale, and from its plan to counts and moves.

Pure, and the same on both substrates: `plan.py` is the way in.
"""
