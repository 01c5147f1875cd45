"""A TCP proxy in front of PostgreSQL that can lose a commit, or its answer, on purpose."""

from __future__ import annotations

import contextlib
import socket
import threading

from trading_engine.tests.integration.forwarding import (
    ForwardingProxy,
    before_commit_and_rest,
    connected,
    hang_up,
)

COMMIT = b"statement"  # the name of the prepared commit in its Bind message
STEP = b"COMMIT"  # of a batch that carries a step; the text in its Parse message


class CuttingProxy(ForwardingProxy):
    """Forwards bytes. Armed, it cuts the connection around the next commit (or `cut_at`).

    lose="answer": the commit reaches the server, its answer is thrown away.
    lose="commit": the commit is thrown away.
    """

    def __init__(self, port: int) -> None:
        self.lose = ""
        self.cut_at = COMMIT
        self.cuts = 0
        super().__init__(port)

    def _serve(self, client: socket.socket) -> None:
        server = connected(self._server_port)
        muted = threading.Event()
        threading.Thread(target=self._answers, args=(server, client, muted), daemon=True).start()
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 20):
                for part in before_commit_and_rest(data):
                    if self.lose and part[:1] in b"BP" and self.cut_at in part[:40]:
                        how, self.lose = self.lose, ""
                        self.cuts += 1
                        if how == "commit":
                            hang_up(client, server)
                            return
                        muted.set()
                    server.sendall(part)
        if not muted.is_set():
            hang_up(client, server)

    def _answers(
        self, server: socket.socket, client: socket.socket, muted: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 20):
                if muted.is_set():  # the server has answered, nobody will know
                    break
                client.sendall(data)
        hang_up(client, server)
