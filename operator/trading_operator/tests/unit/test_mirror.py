"""The mirror: the newest account of each object, lists above watches."""

from __future__ import annotations

from typing import Any

from trading_operator.substrates.kubernetes.mirror import ClusterKey, Mirror

KEY = ClusterKey("ns", "demo")


def _object(name: str, version: int, kind: str = "Service", uid: str = "") -> dict[str, Any]:
    labels = {} if kind == "TradingCluster" else {"hft.trading/cluster": "demo"}
    return {
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
            "labels": labels,
        },
    }


def _names(mirror: Mirror) -> list[str]:
    return sorted(body["metadata"]["name"] for body in mirror.members(KEY))


def test_an_older_account_of_an_object_changes_nothing() -> None:
    heard: list[ClusterKey] = []
    mirror = Mirror(lambda: 0.0, heard.append)
    mirror.put(_object("a", 10))
    mirror.put(_object("a", 9))
    assert mirror.members(KEY)[0]["metadata"]["resourceVersion"] == "10"
    assert heard == [KEY]


def test_versions_are_compared_as_numbers() -> None:
    mirror = Mirror(lambda: 0.0)
    mirror.put(_object("a", 9))
    mirror.put(_object("a", 10))
    assert mirror.members(KEY)[0]["metadata"]["resourceVersion"] == "10"


def test_an_object_made_anew_replaces_the_old_one_whatever_its_version() -> None:
    mirror = Mirror(lambda: 0.0)
    mirror.put(_object("a", 100))
    mirror.put(_object("a", 5, uid="another"))
    assert mirror.members(KEY)[0]["metadata"]["uid"] == "another"


def test_the_end_of_an_older_object_does_not_remove_its_successor() -> None:
    mirror = Mirror(lambda: 0.0)
    mirror.put(_object("a", 5, uid="new"))
    mirror.drop("Service", "ns", "a", uid="old")
    assert _names(mirror) == ["a"]
    mirror.drop("Service", "ns", "a", uid="new")
    assert _names(mirror) == []


def test_a_list_removes_what_a_watch_forgot_to_say() -> None:
    mirror = Mirror(lambda: 0.0)
    mirror.put(_object("a", 1))
    mirror.put(_object("b", 2))
    mark = mirror.mark()
    mirror.replace("Service", None, [_object("b", 2)], mark)
    assert _names(mirror) == ["b"]


def test_what_changed_while_a_list_was_on_its_way_stays() -> None:
    mirror = Mirror(lambda: 0.0)
    mirror.put(_object("gone", 1))
    mark = mirror.mark()
    mirror.put(_object("new", 7))
    mirror.drop("Service", "ns", "gone")
    mirror.replace("Service", None, [_object("gone", 1)], mark)
    assert _names(mirror) == ["new"]


def test_a_list_of_one_namespace_leaves_the_others_alone() -> None:
    mirror = Mirror(lambda: 0.0)
    mirror.put(_object("a", 1))
    mirror.replace("Service", "elsewhere", [], mirror.mark())
    assert _names(mirror) == ["a"]


def test_a_cluster_is_known_apart_from_its_objects() -> None:
    mirror = Mirror(lambda: 0.0)
    mirror.put(_object("demo", 1, kind="TradingCluster"))
    mirror.put(_object("a", 2))
    assert mirror.clusters() == [KEY]
    assert mirror.cluster(KEY) is not None
    assert _names(mirror) == ["a"]


def test_a_watch_that_does_not_tell_what_a_list_shows_is_deaf() -> None:
    clock = [0.0]
    mirror = Mirror(lambda: clock[0])
    mirror.watched = frozenset({"Service"})
    mirror.replace("Service", None, [_object("a", 1)], mirror.mark())
    clock[0] = 50.0
    assert mirror.unheard_seconds() == 0.0  # the first list comes before any watch
    mirror.replace("Service", None, [_object("a", 2)], mirror.mark())
    clock[0] = 80.0
    assert mirror.unheard_seconds() == 30.0
    mirror.heard(_object("a", 2))
    assert mirror.unheard_seconds() == 0.0


def test_every_kind_must_have_been_listed_in_every_place() -> None:
    mirror = Mirror(lambda: 0.0)
    mirror.replace("Service", "one", [], mirror.mark())
    assert mirror.is_listed(["Service"], ["one"])
    assert not mirror.is_listed(["Service"], ["one", "two"])
    assert not mirror.is_listed(["Service", "Pod"], ["one"])


def _move(name: str, version: int, cluster: str) -> dict[str, Any]:
    body = _object(name, version, "SymbolMove")
    return {**body, "metadata": {**body["metadata"], "labels": {}}, "spec": {"cluster": cluster}}


def test_a_move_belongs_to_the_cluster_that_it_names() -> None:
    heard: list[ClusterKey] = []
    mirror = Mirror(lambda: 0.0, heard.append)
    mirror.put(_move("mine", 1, "demo"))
    assert _names(mirror) == ["mine"]
    assert heard == [KEY]


def test_moves_of_clusters_that_are_not_there_are_known() -> None:
    mirror = Mirror(lambda: 0.0)
    mirror.put(_move("mine", 1, "demo"))
    mirror.put(_move("other", 2, "gone"))
    mirror.put(_object("demo", 3, "TradingCluster"))
    assert mirror.waiting_for_a_cluster() == {ClusterKey("ns", "gone")}
