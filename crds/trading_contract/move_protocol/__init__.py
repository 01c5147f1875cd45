"""The protocol of moves between shards, without I/O: rows, steps, recovery, and its two actors.

Whoever talks to PostgreSQL runs this code, and so do the model checker and the simulations.
"""
