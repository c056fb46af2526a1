"""A proxy in front of PostgreSQL that cuts connections at a COMMIT: before the server receives it, or before its
response.
"""

import socket
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Final

from sqlalchemy import URL

SOCKET: Final = ".s.PGSQL.5432"
TCP_PORT: Final = 5432
CHUNK_BYTES: Final = 65_536


class CuttingProxy:
    """Listens in ``folder`` for the server of a database; cuts each n-th COMMIT as ``every`` says."""

    def __init__(self, folder: Path, server: URL) -> None:
        self._server = server
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen(64)
        self._commits = 0
        self.every = 0
        self.cut_before = 0
        self.cut_after = 0
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections. Existing ones end with their client."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = self._connect()
                except OSError:
                    client.close()
                    continue
                Thread(target=self._to_server, args=(client, server), daemon=True).start()

    def _connect(self) -> socket.socket:
        """Connect to the server, on its socket in a folder or over TCP."""
        if self._server.host:
            return socket.create_connection((self._server.host, self._server.port or TCP_PORT))
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(f"{self._server.query['host']}/{SOCKET}")
        except OSError:
            server.close()
            raise
        return server

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        """Forward data between client and server, and cut each COMMIT that is to be cut."""
        back = Thread(target=_pass_on, args=(server, client), daemon=True)
        back.start()
        with client, server:
            with suppress(OSError):
                while data := client.recv(CHUNK_BYTES):
                    if b"COMMIT" in data and self._is_its_turn():
                        self._cut(data, client, server)
                        break
                    server.sendall(data)
                server.shutdown(socket.SHUT_WR)
            back.join()

    def _is_its_turn(self) -> bool:
        self._commits += 1
        return self.every > 0 and self._commits % self.every == 0

    def _cut(self, data: bytes, client: socket.socket, server: socket.socket) -> None:
        if (self.cut_before + self.cut_after) % 3 == 0:
            self.cut_before += 1
            client.shutdown(socket.SHUT_RDWR)
            return
        self.cut_after += 1
        client.shutdown(socket.SHUT_RDWR)  # Later responses of the server are lost.
        server.sendall(data)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Forward data until the source ends, even where the target no longer accepts any."""
    with suppress(OSError):
        while data := source.recv(CHUNK_BYTES):
            with suppress(OSError):
                target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
