"""A TCP proxy in front of PostgreSQL that can lose a commit, or its answer, on purpose."""

from __future__ import annotations

import contextlib
import socket
import threading

COMMIT = b"statement"  # the name of the prepared commit in its Bind message
STEP = b"COMMIT"  # of a batch that carries a step; the text in its Parse message


class CuttingProxy:
    """Forwards bytes. Armed, it cuts the connection around the next commit (or `cut_at`).

    lose="answer": the commit reaches the server, its answer is thrown away.
    lose="commit": the commit is thrown away.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.lose = ""
        self.cut_at = COMMIT
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._server_port))
        muted = threading.Event()
        threading.Thread(target=self._answers, args=(server, client, muted), daemon=True).start()
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 20):
                if self.lose and data[:1] in b"BP" and self.cut_at in data[:40]:
                    how, self.lose = self.lose, ""
                    self.cuts += 1
                    if how == "commit":
                        break
                    muted.set()
                server.sendall(data)
        if not muted.is_set():
            _hang_up(client, server)

    def _answers(
        self, server: socket.socket, client: socket.socket, muted: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 20):
                if muted.is_set():  # the server has answered, nobody will know
                    break
                client.sendall(data)
        _hang_up(client, server)


def _hang_up(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
