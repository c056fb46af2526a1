"""Start paidonce and the shop, as `make shop` does. Ctrl-C ends both; their data stays in the folder ``data``."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

HERE: Final = Path(__file__).parent
MERCHANT: Final = "example-shop"


def main() -> None:
    """Run both, until one of them ends or Ctrl-C is pressed."""
    folder = Path(os.environ.get("SHOP_FOLDER", HERE / "data"))
    folder.mkdir(exist_ok=True)
    port, shop_port = os.environ.get("PORT", "3000"), os.environ.get("SHOP_PORT", "8000")
    url, shop_url = f"http://localhost:{port}", f"http://localhost:{shop_port}"
    service = {**os.environ, "PORT": port, **service_settings(folder)}
    with running([sys.executable, "-m", "paidonce", "dev"], service) as paidonce:
        wait_until_ready(paidonce, url)
        shop = {**os.environ, **shop_settings(folder, service, url, shop_url)}
        with running([sys.executable, "-m", "uvicorn", *shop_arguments(shop_port)], shop) as server:
            wait_until_ready(server, shop_url)
            print(f"\nThe shop is at   {shop_url}\nCtrl-C ends it, and paidonce.\n", flush=True)
            server.wait()


def service_settings(folder: Path) -> dict[str, str]:
    """Return the settings of paidonce. With API keys it checks who calls; webhooks may go to this machine."""
    return {
        "DATABASE_URL": f"file:{folder / 'paidonce.db'}",
        "PAIDONCE_AUTH": "keys",
        "PAIDONCE_WEBHOOK_ALLOW_PRIVATE": "true",
    }


def shop_settings(folder: Path, service: dict[str, str], url: str, shop_url: str) -> dict[str, str]:
    """Return the settings of the shop. ``service`` is the environment in which paidonce runs."""
    key, webhook_secret = credentials(folder, service, url, shop_url)
    return {
        "SHOP_URL": shop_url,
        "SHOP_DATABASE": str(folder / "shop.db"),
        "SHOP_API_URL": url,
        "SHOP_API_KEY": key,
        "SHOP_WEBHOOK_SECRET": webhook_secret,
    }


def shop_arguments(port: str) -> list[str]:
    return ["--app-dir", str(HERE), "--port", port, "--log-level", "warning", "shop:app"]


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, which is asked to end when this ends."""
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            process.terminate()


def wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    """Wait until a server answers; exits where its process has ended."""
    while process.poll() is None:
        try:
            httpx.get(url, timeout=1)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    sys.exit(process.returncode or 1)


def credentials(folder: Path, environment: dict[str, str], url: str, shop_url: str) -> tuple[str, str]:
    """Return the shop's API key and its webhook secret: those of its last run, or new ones, which are stored."""
    file = folder / f"credentials-{shop_url.rpartition(':')[2]}.json"
    if not file.exists():
        run_command(environment, "merchants", "create", MERCHANT)
        key = run_command(environment, "keys", "create", MERCHANT)
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"the endpoint of {shop_url}"}
        body = {"url": f"{shop_url}/webhooks", "eventTypes": ["checkout.completed"]}
        endpoint = httpx.post(f"{url}/webhook-endpoints", headers=headers, json=body).raise_for_status().json()
        file.touch(mode=0o600)
        file.write_text(json.dumps([key, endpoint["secret"]]))
    key, webhook_secret = json.loads(file.read_text())
    return key, webhook_secret


def run_command(environment: dict[str, str], *arguments: str) -> str:
    """Run a command of paidonce; returns what it prints."""
    command = [sys.executable, "-m", "paidonce", *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    for one in (signal.SIGINT, signal.SIGTERM):  # A shell has what it starts in the background ignore SIGINT.
        signal.signal(one, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
