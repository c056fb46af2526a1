"""The processes of a proof: their ports, and what is said of one that ends instead of serving."""

import re
import socket
from pathlib import Path

import pytest

from paidonce.proving.processes import Process, free_port

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_a_free_port_is_none_that_an_outgoing_connection_can_be_given() -> None:
    lowest = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else 49_152
    ports = {free_port() for _ in range(50)}
    assert len(ports) > 1
    assert max(ports) < lowest


def test_a_port_that_somebody_listens_on_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        free = port + 1 if port < 31_999 else port - 1
        monkeypatch.setattr("paidonce.proving.processes.PORTS", [port, free])
        assert {free_port() for _ in range(20)} == {free}


async def test_a_process_that_ends_instead_of_serving_is_named_with_its_log(tmp_path: Path) -> None:
    process = Process("server-0", ["serve", "--port", "none"], {}, tmp_path)
    await process.start()
    with pytest.raises(RuntimeError, match=re.escape(f"server-0 failed: see {tmp_path}/server-0.log")):
        await process.up()
    assert "Invalid value for '--port'" in (tmp_path / "server-0.log").read_text()
