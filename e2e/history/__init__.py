"""What clients were told, set against what the shards hold.

`records`: the history of calls, as lines of JSON. `rows`: what the shards hold. `laws`, `replay`:
what must be true of both, as pure functions that know nothing of the workload. `client`: trades
and records.
"""
