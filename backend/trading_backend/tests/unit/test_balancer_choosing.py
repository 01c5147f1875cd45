"""Who gets a connection, who has too many or too busy ones, and which of them go."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from trading_backend.balancer.choosing import WORK_MIN, Member, chosen, picked, surplus
from trading_backend.hand_over import Back, Give, Report, Serves, parse


def members(*told: tuple[Serves, int]) -> list[Member]:
    """Replicas r0, r1, .. that serve that, and have so many connections."""
    return [Member(f"r{n}", serves, count) for n, (serves, count) in enumerate(told)]


def busy(*told: tuple[int, float]) -> list[Member]:
    """Replicas that serve all, with so many connections and requests a second."""
    return [Member(f"r{n}", Serves.ALL, count, 0, work) for n, (count, work) in enumerate(told)]


def counts(there: Sequence[Member]) -> list[int]:
    """How many each should hand back."""
    return [wish.count for wish in surplus(there)]


def test_the_one_with_fewest_of_those_that_serve_most_is_chosen() -> None:
    there = members((Serves.SOME, 0), (Serves.ALL, 7), (Serves.ALL, 5), (Serves.LEAVES, 1))
    assert chosen(there) is there[2]
    assert chosen(members((Serves.LEAVES, 0), (Serves.SOME, 9))) == Member("r1", Serves.SOME, 9)
    assert chosen(members((Serves.LEAVES, 0))) is None
    assert chosen([]) is None


def test_a_busy_connection_goes_to_who_has_least_work() -> None:
    there = busy((3, 40.0), (9, 20.0))
    assert chosen(there) is there[0]
    assert chosen(there, is_busy=True) is there[1]


def test_short_connections_are_spread_though_nobody_has_any() -> None:
    there = [Member("r0", Serves.ALL, 0, 5), Member("r1", Serves.ALL, 0, 4)]
    assert chosen(there) is there[1]


def test_who_leaves_or_serves_less_than_others_hands_all_back() -> None:
    assert surplus(members((Serves.LEAVES, 3), (Serves.ALL, 3)))[0] == Give(3, math.inf)
    assert counts(members((Serves.SOME, 4), (Serves.ALL, 4))) == [4, 0]
    assert counts(members((Serves.SOME, 4), (Serves.SOME, 4))) == [0, 0]
    assert counts(members((Serves.LEAVES, 4))) == [4], "they wait for whoever comes"


def test_two_with_one_name_are_told_apart() -> None:
    """A replica that ends and the one that comes in its place."""
    there = [Member("r0", Serves.LEAVES, 6), Member("r0", Serves.ALL, 0)]
    assert counts(there) == [6, 0]
    assert chosen(there) is there[1]


def test_a_new_one_gets_its_share_and_small_differences_stay() -> None:
    assert counts(members((Serves.ALL, 40), (Serves.ALL, 0))) == [20, 0]
    assert counts(members((Serves.ALL, 21), (Serves.ALL, 19))) == [0, 0]
    assert counts(members((Serves.ALL, 2), (Serves.ALL, 0))) == [0, 0]
    assert surplus(busy((40, 400.0), (0, 0.0)))[0] == Give(20, 200.0)
    assert surplus(busy((40, 100.0), (0, 300.0)))[0] == Give(20, 0.0), "only idle ones"


def test_who_has_the_busy_connections_gives_of_them_once_the_figures_are_new() -> None:
    there = busy((10, 270.0), (10, 4.0))
    assert surplus(there) == [Give(0, 133.0), Give(0, 0.0)]
    assert surplus(there, is_settled=False) == [Give(0, 0.0)] * 2
    assert surplus(busy((10, 120.0), (10, 100.0))) == [Give(0, 0.0)] * 2, "a small difference"
    assert surplus(busy((10, WORK_MIN), (10, 0.0))) == [Give(0, 0.0)] * 2, "little work"


def test_what_goes_has_the_work_that_is_too_much_and_then_those_that_have_none() -> None:
    rates = {"a": 50.0, "b": 40.0, "c": 30.0, "d": 0.0, "e": 0.0}
    assert picked(rates, Give(5, 90.0)) == {"a", "b", "d", "e"}
    assert picked(rates, Give(2, 90.0)) == {"a", "b"}
    assert picked(rates, Give(0, 90.0)) == {"a", "b"}
    assert picked(rates, Give(5, 0.0)) == {"d", "e"}
    assert picked(rates, Give(5, math.inf)) == set(rates)


def test_one_hot_connection_does_not_wander() -> None:
    assert picked({"hot": 270.0, "idle": 0.0}, Give(2, 135.0)) == {"idle"}


def test_messages_come_back_as_they_were() -> None:
    for told in (
        Give(3, 12.5), Give(9, math.inf), Back(0.25), Report("r0", Serves.SOME, 5, 7, 12.5),
    ):  # fmt: skip
        assert parse(told.packed()) == told
    before = b'R{"replica": "r0", "serves": "all", "connections": 5, "taken": 7}'
    assert parse(before) == Report("r0", Serves.ALL, 5, 7, 0.0)


@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 5.0, 20.0, 300.0])), min_size=1, max_size=6))
def test_evening_out_comes_to_an_end(rates: list[list[float]]) -> None:
    """Soon nobody hands anything over any more, and nobody is far off who could help it."""
    there = [dict(enumerate(each, 1000 * n)) for n, each in enumerate(rates)]
    for _ in range(200):
        told = busy(*((len(each), sum(each.values())) for each in there))
        gone = [
            (each, name) for each, wish in zip(there, surplus(told), strict=True)
            for name in picked(each, wish)
        ]  # fmt: skip
        if not gone:
            break
        for owner, name in gone:
            rate = owner.pop(name)
            told = busy(*((len(each), sum(each.values())) for each in there))
            best = chosen(told, is_busy=rate > 0)
            assert best is not None
            there[told.index(best)][name] = rate
    else:
        raise AssertionError(f"connections wander for ever: {there}")
    work = [sum(each.values()) for each in there]
    mean = sum(work) / len(work)
    for each, has in zip(there, work, strict=True):
        if has - mean >= max(WORK_MIN, 0.25 * mean):
            fits = [rate for rate in each.values() if 0 < rate <= has - mean]
            assert not fits, "it had some that it could give"
