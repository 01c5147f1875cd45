"""The real parts as processes of one machine, supervised by `tradingctl up`.

Nothing that matters is kept in memory: running processes are found by their environment, the wishes
and the secrets lie in the data folder, so the supervisor may be killed at any time.
"""
