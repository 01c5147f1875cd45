"""How far a replica reaches, told from its answers; those of older versions count as well."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

import pytest
from aiohttp import web

from trading_operator.planner.observed import Reach, ReplicaSeen
from trading_operator.probes.replica import ask_replica


async def _ask(statuses: Mapping[str, int], body: bytes = b"") -> ReplicaSeen:
    """The probe's word on a server that answers these paths so, and 404 to all else."""
    app = web.Application()
    for path, status in statuses.items():

        async def answer(_: web.Request, status: int = status) -> web.Response:
            return web.Response(status=status, body=body)

        app.router.add_get(path, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        return await ask_replica("127.0.0.1", runner.addresses[0][1])
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("all_of_it", "slots", "reach"),
    [
        (200, 503, Reach.PARTITIONS),  # asked a moment later
        (503, 200, Reach.SLOTS),
        (503, 503, Reach.REPLICA),
    ],
)
def test_what_it_says_of_all_partitions_and_of_those_with_slots(
    all_of_it: int, slots: int, reach: Reach
) -> None:
    assert asyncio.run(_ask({"/readyz": all_of_it, "/readyz/slots": slots})).reach is reach


@pytest.mark.parametrize(("status", "reach"), [(200, Reach.PARTITIONS), (503, Reach.REPLICA)])
def test_one_of_an_older_version_reaches_all_or_itself(status: int, reach: Reach) -> None:
    assert asyncio.run(_ask({"/readyz": status})) == ReplicaSeen(reach, None)


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize(
    ("body", "partitions"),
    [
        (b'{"partitions": ["partition-0", "partition-2"]}', {"partition-0", "partition-2"}),
        (b'{"partitions": []}', set()),
        (b'{"ready": true}', None),
        (b'{"partitions": "partition-0"}', None),
        (b"[1]", None),
        (b"nonsense \xff", None),
    ],
)
def test_the_partitions_that_it_is_connected_to(
    status: int, body: bytes, partitions: set[str] | None
) -> None:
    assert asyncio.run(_ask({"/readyz": status}, body)).partitions == partitions


def test_nobody_there_reaches_nothing() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        seen = asyncio.run(ask_replica("127.0.0.1", closed.getsockname()[1]))
        assert seen == ReplicaSeen(Reach.NOTHING, None)
