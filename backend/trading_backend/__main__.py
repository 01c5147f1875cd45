"""`trading-backend run`: one replica. `trading-backend balance`: the load balancer before them."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import socket
import sys
import threading
from types import FrameType

import uvicorn
import uvloop

from trading_backend.app import create_app
from trading_backend.balancer.balancer import Balancer
from trading_backend.balancer.settings import BalancerSettings
from trading_backend.order_lane import FROM_CLIENTS, order_lane
from trading_backend.replica import Replica
from trading_backend.settings import BackendSettings
from trading_backend.stream_protocol import StreamProtocol
from trading_contract.errors import TradingError
from trading_contract.settings import load

CLOSE_SECONDS_MAX = 12.0  # after the last request
KEEP_ALIVE_SECONDS = 75  # longer than a load balancer keeps an idle connection


class _Server(uvicorn.Server):
    """Says "not ready" and goes on for a while when it is asked to stop: no request is lost."""

    def __init__(self, config: uvicorn.Config, replica: Replica) -> None:
        super().__init__(config)
        self._replica = replica
        replica.load.http_requests = lambda: self.server_state.total_requests
        replica.load.connections = lambda: len(self.server_state.connections)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if (link := self._replica.link) is not None:
            link.connections = lambda: len(self.server_state.connections)
            link.make = self._protocol_of_client
            link.start()

    def _protocol_of_client(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config,
            server_state=self.server_state,
            app_state={**self.lifespan.state, FROM_CLIENTS: True},
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to stop; the second one is obeyed at once."""
        if self._loop is None or self._replica.draining:
            super().handle_exit(sig, frame)
        else:
            self._loop.call_soon_threadsafe(self._drain, self._loop, sig)

    def _drain(self, loop: asyncio.AbstractEventLoop, sig: int) -> None:
        self._replica.drain()
        settings = self._replica.settings
        loop.call_later(settings.drain_notice_seconds, super().handle_exit, sig, None)
        end_anyway(settings.drain_notice_seconds + settings.drain_seconds + CLOSE_SECONDS_MAX)


def end_anyway(seconds: float) -> None:
    """End the process after this time, whatever still hangs in it; does not hold it up."""

    def end() -> None:
        logging.getLogger(__name__).error("still here %g s after the signal: ended", seconds)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def raise_descriptor_limit() -> None:
    """As many open files as the system lets us have: each client's connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _balance() -> int:
    settings = load(BalancerSettings, "TRADING_BALANCER_", os.environ)
    logging.getLogger().setLevel(settings.log_level.upper())

    async def main() -> None:
        await Balancer(settings).run()

    uvloop.run(main())
    return 0


def _run() -> int:
    settings = load(BackendSettings, "TRADING_BACKEND_", os.environ)
    replica = Replica(settings)
    config = uvicorn.Config(
        create_app(replica),
        host=settings.listen_host,
        port=settings.listen_port,
        loop="uvloop",
        http=order_lane(replica.entry, replica.link),
        ws=StreamProtocol,
        ws_per_message_deflate=False,
        ws_ping_interval=20,
        ws_ping_timeout=60,
        ws_max_size=1 << 16,
        access_log=False,
        log_level=settings.log_level,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.drain_seconds,
        backlog=4096,
    )
    _Server(config, replica).run()
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 = stopped as asked, 1 = what went wrong is on stderr."""
    parser = argparse.ArgumentParser(prog="trading-backend", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="run a replica; settings come from TRADING_BACKEND_* variables")
    commands.add_parser(
        "balance", help="run the load balancer; settings come from TRADING_BALANCER_* variables"
    )
    command = parser.parse_args(argv).command
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        raise_descriptor_limit()
        return _balance() if command == "balance" else _run()
    except TradingError as problem:
        print(f"trading-backend: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
