"""A pytest plugin: property tests use fixed seeds and no deadlines, so a slow machine fails none.

`pytest --hypothesis-profile=default` explores with fresh seeds instead.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")
