"""Who gets a connection, and who has too many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trading_backend.balancer.choosing import Member, chosen, surplus
from trading_backend.hand_over import Serves


def members(*told: tuple[Serves, int]) -> list[Member]:
    """Replicas r0, r1, .. that serve that, and have so many connections."""
    return [Member(f"r{n}", serves, count) for n, (serves, count) in enumerate(told)]


def test_the_one_with_fewest_of_those_that_serve_most_is_chosen() -> None:
    there = members((Serves.SOME, 0), (Serves.ALL, 7), (Serves.ALL, 5), (Serves.LEAVES, 1))
    assert chosen(there) is there[2]
    assert chosen(members((Serves.LEAVES, 0), (Serves.SOME, 9))) == Member("r1", Serves.SOME, 9)
    assert chosen(members((Serves.LEAVES, 0))) is None
    assert chosen([]) is None


def test_short_connections_are_spread_though_nobody_has_any() -> None:
    there = [Member("r0", Serves.ALL, 0, 5), Member("r1", Serves.ALL, 0, 4)]
    assert chosen(there) is there[1]


def test_who_leaves_or_serves_less_than_others_hands_all_back() -> None:
    assert surplus(members((Serves.LEAVES, 3), (Serves.ALL, 3))) == [3, 0]
    assert surplus(members((Serves.SOME, 4), (Serves.ALL, 4))) == [4, 0]
    assert surplus(members((Serves.SOME, 4), (Serves.SOME, 4))) == [0, 0]
    assert surplus(members((Serves.LEAVES, 4))) == [4], "they wait for whoever comes"


def test_two_with_one_name_are_told_apart() -> None:
    """A replica that ends and the one that comes in its place."""
    there = [Member("r0", Serves.LEAVES, 6), Member("r0", Serves.ALL, 0)]
    assert surplus(there) == [6, 0]
    assert chosen(there) is there[1]


def test_a_new_one_gets_its_share_and_small_differences_stay() -> None:
    assert surplus(members((Serves.ALL, 40), (Serves.ALL, 0))) == [20, 0]
    assert surplus(members((Serves.ALL, 21), (Serves.ALL, 19))) == [0, 0]
    assert surplus(members((Serves.ALL, 2), (Serves.ALL, 0))) == [0, 0]


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=12))
def test_evening_out_comes_to_an_end(counts: list[int]) -> None:
    """Each turn hands to those with fewest; soon nobody is asked for any more."""
    for _ in range(20):
        asked = surplus(members(*((Serves.ALL, count) for count in counts)))
        if not any(asked):
            break
        counts = [count - given for count, given in zip(counts, asked, strict=True)]
        for _ in range(sum(asked)):
            counts[counts.index(min(counts))] += 1
    else:
        raise AssertionError(f"it never ends: {counts}")
