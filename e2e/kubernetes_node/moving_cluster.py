"""A trading cluster in real pods whose symbols move, and everybody who ever traded on it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from namespaces import OPERATOR_NAMESPACE, own_namespace
from node_exchange import SMALL, SMALL_NODE, NodeExchange

from history.client import Crowd
from judged import crowd_of, judge, unclear_after_one_retry, wait_for_acknowledgements
from operator_process import Kubectl, until

SYMBOLS = ("ADAUSDT", "BTCUSDT", "DOTUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")


def symbols_named(names: Iterable[str]) -> list[dict[str, str]]:
    """As a specification has them."""
    steps = {"tickSize": "0.01", "lotSize": "0.00001", "minNotional": "5"}
    return [{"name": name, **steps} for name in names]


SPEC: dict[str, Any] = {
    "symbols": symbols_named(SYMBOLS),
    "backends": {"replicas": 2, "resources": SMALL},
    "partitions": {"count": 2, "resources": SMALL},
    "shards": {"resources": SMALL, "storage": {"size": "1Gi", "reclaim": "delete"}},
    "redis": {"resources": SMALL_NODE},
}
SYMBOL = "BTCUSDT"  # that moves
MOVE_SECONDS_MAX = 120
# By tier: how many moves a successor must end, and how often they are tried for that. Those between
# partitions take half a second, and may all be over before their operators are dead.
OUTLIVED_MIN = {"partition": 0, "shard": 2}
ROUNDS_MAX = {"partition": 2, "shard": 4}
FINISHED = frozenset({"Done", "Failed", "Refused"})  # states of a move that ended


def sized(partitions: int = 2, shards: int = 1, members: int = 1) -> dict[str, Any]:
    """Fields of a specification with so many of each."""
    return {
        "partitions": {"count": partitions, "resources": SMALL},
        "shards": {**SPEC["shards"], "count": shards, "members": members},
    }


@dataclass
class Moving:
    """The cluster, and all who traded on it."""

    exchange: NodeExchange
    folder: Path
    accounts: dict[str, int] = field(default_factory=dict)

    def apply(self, **fields: Any) -> None:
        """The specification with these fields."""
        self._apply("TradingCluster", self.exchange.name, {**SPEC, **fields})

    def move(self, name: str, symbols: str, target: str) -> None:
        """As a person asks for it: one symbol or a range, to a partition or a shard."""
        field_name = "toShard" if target.startswith("shard-") else "toPartition"
        spec = {"cluster": self.exchange.name, "symbols": [symbols], field_name: target}
        self._apply("SymbolMove", name, spec)

    def _apply(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        document = yaml.safe_dump({
            "apiVersion": "hft.trading/v1alpha1", "kind": kind, "metadata": {"name": name},
            "spec": spec,
        })  # fmt: skip
        self.exchange.kubectl("apply", "-n", self.exchange.namespace, "-f", "-", stdin=document)

    def owners(self, tier: str = "partition") -> dict[str, str]:
        """Symbol -> partition or shard, as published."""
        topology = self.exchange.topology()
        names = [each["name"] for each in topology["symbols"]]
        return {
            name: slot[tier] for name in names for slot in topology["slots"]
            if slot["first"] <= name < slot["past"]
        }  # fmt: skip

    def sets(self) -> set[str]:
        """Names of the StatefulSets, without that of the cluster."""
        found = self.exchange.kubectl.get("statefulsets", self.exchange.namespace)["items"]
        prefix = f"{self.exchange.name}-"
        return {each["metadata"]["name"].removeprefix(prefix) for each in found}

    def are_gone(self, names: set[str], tier: str) -> bool:
        """Whether these StatefulSets are; each owned nothing any more before it went."""
        sets, owners = self.sets(), set(self.owners(tier).values())  # in this order
        assert not (names - sets) & owners
        return not names & sets

    def moves(self) -> list[dict[str, Any]]:
        """All SymbolMoves."""
        items = self.exchange.kubectl.get("symbolmoves", self.exchange.namespace)["items"]
        return list(items)

    def told_of(self, name: str) -> dict[str, Any]:
        """The status of one."""
        body = self.exchange.kubectl.get("symbolmove", self.exchange.namespace, name)
        return dict(body.get("status") or {})

    def state_of(self, name: str) -> str:
        """Of one SymbolMove; empty when nothing was told yet."""
        return str(self.told_of(name).get("state", ""))

    def traders(self, name: str, rate_per_second: float = 25) -> Crowd:
        """Clients of two new accounts, each with so many calls a second."""
        crowd, accounts = crowd_of(
            self.exchange, self.folder, name, rate_per_second  # type: ignore[arg-type]
        )  # fmt: skip
        self.accounts |= accounts
        until(lambda: all(map(self.exchange.knows, accounts)), "the keys are there", 120)
        return crowd

    def judge(self) -> None:
        """All laws hold."""
        judge(self.exchange, self.folder, self.accounts)  # type: ignore[arg-type]

    def nobody_noticed(self) -> None:
        """All laws hold, and every call was clear after one retry at the latest."""
        unclear = unclear_after_one_retry(self.folder, self.accounts)
        assert not unclear, unclear  # told here: pytest rewrites no assertion of this file
        self.judge()


@contextmanager
def moving_cluster(
    kubectl: Kubectl, request: pytest.FixtureRequest, folder: Path, **fields: Any
) -> Iterator[Moving]:
    """Ready, in a namespace of its own, with these fields of the specification."""
    with own_namespace(kubectl, request) as namespace:
        made = Moving(NodeExchange(kubectl, namespace, "moving"), folder)
        made.apply(**fields)
        made.exchange.wait_ready(300)
        yield made


def there_and_back_though_operators_die(
    moving: Moving, crowd: Crowd, targets: tuple[str, str], times: dict[str, Any]
) -> None:
    """BTCUSDT goes to the first target and back to the second, the operators killed each time.

    A move may be over before its operator is dead. So it goes there and back until enough were
    ended by a successor, where that can be had; `times` gets the seconds that these took, and the
    pauses of all.
    """
    kind = targets[0].partition("-")[0]
    outlived, pauses = [], []
    for number in range(ROUNDS_MAX[kind]):
        for target in targets:
            name, begun = f"{kind}-{number}-{target}", time.monotonic()
            if _ends_under_a_successor(moving, name, target):
                outlived.append(round(time.monotonic() - begun, 1))
            pauses.append(moving.told_of(name)["pauseMilliseconds"])
            wait_for_acknowledgements(crowd, 50, 60)
        if len(outlived) >= max(1, OUTLIVED_MIN[kind]):
            break
    times[f"{kind}_moves_operators_killed"] = outlived
    times[f"{kind}_moves_pause_milliseconds"] = pauses
    assert len(outlived) >= OUTLIVED_MIN[kind], outlived


def _ends_under_a_successor(moving: Moving, name: str, target: str) -> bool:
    """Whether one told the end of the move who was none of those killed when it was under way."""
    kubectl = moving.exchange.kubectl
    moving.move(name, SYMBOL, target)
    until(lambda: moving.state_of(name) == "Moving", f"{name} is under way", 60)
    before = _leader(kubectl)
    kill_operators(kubectl)
    until(lambda: moving.state_of(name) in FINISHED, f"{name} is over", MOVE_SECONDS_MAX)
    is_successors = _leader(kubectl) != before
    tier = target.partition("-")[0]
    until(  # published after it is told
        lambda: moving.owners(tier)[SYMBOL] == target, f"so it is: {moving.told_of(name)}", 60
    )
    told = moving.told_of(name)
    assert told["state"] == "Done", told
    assert told["verified"], told
    assert told["pauseMilliseconds"] > 0, told
    return is_successors


def _leader(kubectl: Kubectl) -> str:
    """Which operator acts, or did as long as it lived."""
    lease = kubectl.get("lease", OPERATOR_NAMESPACE, "trading-operator")
    return str(lease["spec"]["holderIdentity"])


def kill_operators(kubectl: Kubectl) -> None:
    """At once, as a machine that fails does."""
    kubectl(
        "delete", "pods", "-n", OPERATOR_NAMESPACE, "--force", "--grace-period=0", "--wait=false",
        "-l", "app.kubernetes.io/name=trading-operator",
    )  # fmt: skip
