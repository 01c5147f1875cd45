"""`trading-backend run`: one replica."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
import threading
from pathlib import Path
from types import FrameType

import uvicorn

from trading_backend.app import create_app
from trading_backend.order_lane import order_lane
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
        if self._replica.settings.listen_socket is not None:
            self.servers.append(await self._listen_at(self._replica.settings.listen_socket))

    async def _listen_at(self, path: Path) -> asyncio.Server:
        """A UNIX socket besides; one that a dead process left is replaced."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240 -- once, and takes no time
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            ),
            str(path),
            backlog=self.config.backlog,
        )
        path.chmod(0o666)  # noqa: ASYNC240 -- like the port: for whoever is on this machine
        return server

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


def _run() -> int:
    settings = load(BackendSettings, "TRADING_BACKEND_", os.environ)
    replica = Replica(settings)
    config = uvicorn.Config(
        create_app(replica),
        host=settings.listen_host,
        port=settings.listen_port,
        loop="uvloop",
        http=order_lane(replica.entry),
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
    parser.add_subparsers(dest="command", required=True).add_parser(
        "run", help="run a replica; settings come from TRADING_BACKEND_* variables"
    )
    parser.parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        return _run()
    except TradingError as problem:
        print(f"trading-backend: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
