"""What the watches told of the objects that carry our label, corrected by full lists.

A watch can lose a deletion, so it is a hint; the lists that `replace` takes are the truth. Of two
accounts of an object the one with the higher resourceVersion wins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from trading_operator.planner.kubernetes.children import CLUSTER_LABEL
from trading_operator.substrates.kubernetes.api import CLUSTER, MOVE, Body

MANAGED_SELECTOR = "app.kubernetes.io/managed-by=trading-operator"


class ClusterKey(NamedTuple):
    """One TradingCluster."""

    namespace: str
    name: str


class ObjectKey(NamedTuple):
    """One object."""

    kind: str
    namespace: str
    name: str


class Mirror:
    """Objects by key and by the cluster they belong to; `changed` hears whose cluster changed."""

    def __init__(
        self,
        now: Callable[[], float],
        changed: Callable[[ClusterKey], None] = lambda _: None,
    ) -> None:
        self._now = now
        self._unheard: dict[ObjectKey, tuple[str, float]] = {}
        self._objects: dict[ObjectKey, Body] = {}
        self._members: defaultdict[ClusterKey, set[ObjectKey]] = defaultdict(set)
        self._touched: dict[ObjectKey, int] = {}
        self._clock = 0
        self._listed: set[tuple[str, str]] = set()
        self.changed = changed
        self.watched: frozenset[str] = frozenset()

    def put(self, body: Body) -> None:
        """An object as it is now."""
        key = _key(body)
        before = self._objects.get(key)
        if not _is_newer(body, before):
            return
        self._touch(key)
        owner = _cluster_of(key, body)
        if before is not None and (old := _cluster_of(key, before)) != owner:
            self._members[old].discard(key)
        self._objects[key] = _slim(body)
        self._members[owner].add(key)
        self.changed(owner)

    def heard(self, body: Body) -> None:
        """A watch told of an object: what a list said first about it was not missed."""
        self._unheard.pop(_key(body), None)

    def unheard_seconds(self) -> float:
        """For how long a change that a list showed was not told by the watch; 0 = all was told."""
        began = min((at for _, at in self._unheard.values()), default=None)
        return 0.0 if began is None else self._now() - began

    def drop(self, kind: str, namespace: str, name: str, uid: str = "") -> None:
        """An object is gone; with `uid`, only that very one."""
        key = ObjectKey(kind, namespace, name)
        body = self._objects.get(key)
        if body is None or (uid and body["metadata"].get("uid") != uid):
            return
        self._touch(key)
        del self._objects[key]
        owner = _cluster_of(key, body)
        self._members[owner].discard(key)
        self.changed(owner)

    def mark(self) -> int:
        """Take this before a list begins and give it to `replace`."""
        return self._clock

    def replace(self, kind: str, namespace: str | None, items: Iterable[Body], mark: int) -> None:
        """All objects of a kind, as one list gave them; what changed since `mark` stays."""
        found = {_key(item): item for item in items}
        is_first = (kind, namespace or "") not in self._listed
        for each, item in found.items():
            if self._touched.get(each, 0) > mark:
                continue
            before = self._objects.get(each)
            version = item["metadata"].get("resourceVersion", "")
            if kind in self.watched and not is_first and _is_newer(item, before):
                self._unheard.setdefault(each, (version, self._now()))
            self.put(item)
        for key in [key for key in self._objects if key.kind == kind]:
            inside = namespace is None or key.namespace == namespace
            if inside and key not in found and self._touched.get(key, 0) <= mark:
                self.drop(*key)
                self._unheard.pop(key, None)
        self._listed.add((kind, namespace or ""))
        self._touched = {key: at for key, at in self._touched.items() if at > mark}

    def is_listed(self, kinds: Iterable[str], namespaces: Iterable[str]) -> bool:
        """Whether each of the kinds was listed once."""
        places = list(namespaces)
        return all((kind, place) in self._listed for kind in kinds for place in places)

    def clusters(self) -> list[ClusterKey]:
        """All TradingClusters."""
        kind = CLUSTER.name
        return [ClusterKey(key.namespace, key.name) for key in self._objects if key.kind == kind]

    def cluster(self, key: ClusterKey) -> Body | None:
        """The TradingCluster itself."""
        return self._objects.get(ObjectKey(CLUSTER.name, *key))

    def members(self, key: ClusterKey) -> list[Body]:
        """All other objects of a cluster."""
        return [self._objects[each] for each in self._members[key] if each.kind != CLUSTER.name]

    def waiting_for_a_cluster(self) -> set[ClusterKey]:
        """Clusters that SymbolMoves name and that are not there."""
        named = {
            _cluster_of(key, body) for key, body in self._objects.items() if key.kind == MOVE.name
        }
        return named - set(self.clusters())

    def _touch(self, key: ObjectKey) -> None:
        self._clock += 1
        self._touched[key] = self._clock


def _key(body: Body) -> ObjectKey:
    metadata = body["metadata"]
    return ObjectKey(body["kind"], metadata.get("namespace", ""), metadata["name"])


def _cluster_of(key: ObjectKey, body: Body) -> ClusterKey:
    if key.kind == CLUSTER.name:
        return ClusterKey(key.namespace, key.name)
    if key.kind == MOVE.name:
        return ClusterKey(key.namespace, str(body.get("spec", {}).get("cluster", "")))
    labels = body["metadata"].get("labels") or {}
    return ClusterKey(key.namespace, str(labels.get(CLUSTER_LABEL, "")))


def _is_newer(body: Body, before: Body | None) -> bool:
    """Versions are numbers in every API server known, and documented as comparable since 1.35."""
    if before is None:
        return True
    if body["metadata"].get("uid") != before["metadata"].get("uid"):
        return True
    new, old = body["metadata"].get("resourceVersion"), before["metadata"].get("resourceVersion")
    if str(new).isdigit() and str(old).isdigit():
        return int(str(new)) > int(str(old))
    return bool(new != old)


def _slim(body: Body) -> Body:
    """Without the bookkeeping of field owners, the largest part of most objects."""
    metadata: dict[str, Any] = dict(body["metadata"])
    fields = metadata.pop("managedFields", None) or ()
    if body["kind"] == "ConfigMap":  # when it last changed is told nowhere else
        times = [field.get("time", "") for field in fields]
        metadata["managedFields"] = [{"time": max(times, default="")}]
    return {**body, "metadata": metadata}
