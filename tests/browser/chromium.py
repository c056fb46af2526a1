"""Finds a Chromium on this machine, and opens it so that it can reach nothing but this machine."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Playwright

SETTING: Final = "TEST_BROWSER"  # The path of a browser, where it has another name or stands elsewhere.
NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING: Final = (
    "The tests in a browser did not run, because no Chromium was found. "
    f"Install the package chromium-headless-shell or chromium, or name a browser in {SETTING}."
)
START_MILLISECONDS_MAX: Final = 120_000.0  # Two seconds on an idle machine.


class OfflineBrowser(NamedTuple):
    """A browser that can reach only this machine, and the hosts that it has tried to reach elsewhere."""

    browser: Browser
    refused_hosts: list[str]

    def take_refused_hosts(self) -> list[str]:
        """Return the hosts that were refused since the last call."""
        refused = list(self.refused_hosts)
        self.refused_hosts.clear()
        return refused


def find_chromium(playwright: Playwright) -> str | None:
    """Return the path of a Chromium: the one that is set, the system's, or the one that Playwright installed."""
    candidates = [os.environ.get(SETTING), *map(shutil.which, NAMES), playwright.chromium.executable_path]
    return next((path for path in candidates if path and os.access(path, os.X_OK)), None)


@contextmanager
def open_offline(playwright: Playwright, path: str) -> Iterator[OfflineBrowser]:
    """Open a browser whose requests to other machines go to a proxy that notes and refuses them.

    A browser asks a proxy instead of DNS, too. It never asks it for what is on this machine.
    """
    with _refusing_proxy() as (url, refused_hosts):
        browser = playwright.chromium.launch(
            executable_path=path,
            args=[f"--proxy-server={url}", "--webrtc-ip-handling-policy=disable_non_proxied_udp"],
            chromium_sandbox=os.geteuid() != 0,  # Chromium refuses to run as root with its sandbox, as in CI.
            timeout=START_MILLISECONDS_MAX,
        )
        try:
            yield OfflineBrowser(browser, refused_hosts)
        finally:
            browser.close()


@contextmanager
def _refusing_proxy() -> Iterator[tuple[str, list[str]]]:
    refused_hosts: list[str] = []

    class Refuse(BaseHTTPRequestHandler):
        def refuse(self) -> None:
            refused_hosts.append(urlsplit(self.path if "/" in self.path else f"//{self.path}").hostname or "")
            self.send_error(403)

        do_CONNECT = do_GET = do_HEAD = do_OPTIONS = do_POST = refuse  # noqa: N815 - the names of the base class

        def log_message(self, *_: Any) -> None:  # noqa: ANN401 - as in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", refused_hosts
        finally:
            server.shutdown()
            thread.join()
