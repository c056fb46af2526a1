"""What a start imports: without a provider over HTTP, no HTTP client."""

import subprocess
import sys
from pathlib import Path

PROLOGUE = """
import asyncio, sys
import paidonce.cli.serving
from paidonce.app import open_service, preload_server
from paidonce.settings import load_settings

def tell():
    print(sorted({'aiohttp', 'pycares'} & set(sys.modules)))

inside = {"DATABASE_URL": "file:./paidonce.db"}
outside = {**inside, "PAIDONCE_SIMULATOR_URL": "http://127.0.0.1:9"}
"""
OPEN = """
async def opened():
    async with open_service(load_settings(inside), with_worker=True, migrating=True):
        tell()

asyncio.run(opened())
"""
STAND_BY = """
preload_server(load_settings(inside))
tell()
preload_server(load_settings(outside))
tell()
"""


def told(folder: Path, what: str) -> list[str]:
    """Run a script in a temporary folder; returns the HTTP clients that it has imported."""
    program = [sys.executable, "-c", PROLOGUE + what]
    done = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True, timeout=200, cwd=folder)
    return done.stdout.splitlines()


def test_a_server_that_calls_nobody_over_http_loads_no_http_client(tmp_path: Path) -> None:
    assert told(tmp_path, OPEN)[-1] == "[]"


def test_a_standby_has_loaded_the_http_client_where_a_provider_is_called_over_http(tmp_path: Path) -> None:
    without, with_provider = told(tmp_path, STAND_BY)
    assert without == "[]"
    assert "aiohttp" in with_provider
