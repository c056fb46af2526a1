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
    folder = Path(os.environ.get("SHOP_FOLDER", HERE / "data"))
    folder.mkdir(exist_ok=True)
    port, shop_port = os.environ.get("PORT", "3000"), os.environ.get("SHOP_PORT", "8000")
    url, shop_url = f"http://localhost:{port}", f"http://localhost:{shop_port}"
    # Keys make paidonce check who calls. Webhooks go to https URLs only, except where this setting allows others.
    service = {
        **os.environ,
        "PORT": port,
        "DATABASE_URL": f"file:{folder / 'paidonce.db'}",
        "PAIDONCE_AUTH": "keys",
        "PAIDONCE_WEBHOOK_ALLOW_PRIVATE": "true",
    }
    with running([sys.executable, "-m", "paidonce", "dev"], service) as paidonce:
        wait_until_ready(paidonce, url)
        key, webhook_secret = credentials(folder, service, url, shop_url)
        shop = {
            **os.environ,
            "SHOP_URL": shop_url,
            "SHOP_DATABASE": str(folder / "shop.db"),
            "SHOP_API_URL": url,
            "SHOP_API_KEY": key,
            "SHOP_WEBHOOK_SECRET": webhook_secret,
        }
        command = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "--port", shop_port, "shop:app"]
        with running([*command, "--log-level", "warning"], shop) as server:
            wait_until_ready(server, shop_url)
            print(f"\nThe shop is at   {shop_url}\nCtrl-C ends it, and paidonce.\n", flush=True)
            server.wait()


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
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
