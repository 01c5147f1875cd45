"""`tradingctl drain` and `undrain`: who is drained gives its symbols away, and gets none."""

from __future__ import annotations

import argparse

from pydantic import ValidationError

from trading_contract.errors import UserError
from trading_contract.tradingcluster import PartitionsSpec, ShardsSpec
from trading_operator.cli.clusters import find_cluster
from trading_operator.cli.up import wait_until_ready
from trading_operator.planner.moves.ownership import is_shard
from trading_operator.substrates.processes.keepers import nudge
from trading_operator.substrates.processes.store import Store


def drain(arguments: argparse.Namespace) -> int:
    """Its symbols go to the others, one after the other; it runs on, empty."""
    return _change(arguments, is_drained=True)


def undrain(arguments: argparse.Namespace) -> int:
    """It gets an even share of the symbols again."""
    return _change(arguments, is_drained=False)


def _change(arguments: argparse.Namespace, *, is_drained: bool) -> int:
    layout = find_cluster(arguments)
    store = Store(layout)
    cluster = store.cluster()
    if cluster is None:
        raise UserError(f"no cluster in {layout.root}")
    name = arguments.place
    tier = "shards" if is_shard(name) else "partitions"
    before: PartitionsSpec | ShardsSpec = getattr(cluster.spec, tier)
    names = [each for each in before.drained if each != name]
    if is_drained:
        names.append(name)
    elif name not in before.drained:
        raise UserError(f"WHERE: {name} is not drained")
    try:
        document = before.model_dump(by_alias=True) | {"drained": names}
        after = type(before).model_validate(document)
    except ValidationError as problem:
        lines = [str(each["msg"]).removeprefix("Value error, ") for each in problem.errors()]
        raise UserError("\n".join(f"WHERE: {line}" for line in lines)) from None
    spec = cluster.spec.model_copy(update={tier: after})
    stored = store.replace(cluster.model_copy(update={"spec": spec}))
    nudge(layout)
    print(f"{name} {'is being emptied' if is_drained else 'takes symbols again'}")
    print(f"note: `tradingctl apply -f FILE` says anew what spec.{tier}.drained is")
    if arguments.wait:
        generation = stored.metadata.generation
        return 0 if wait_until_ready(layout, generation, arguments.timeout) else 1
    return 0
