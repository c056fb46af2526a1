"""People who use the dashboard in the browser. They are made on the terminal, as the first of them is."""

import os
import re
import subprocess
import sys
from typing import Any, Final, TypeAlias

from playwright.sync_api import Browser, Page, expect

from paidonce.dashboard.paths import PATH
from tests.browser.shown_data import ShownData
from tests.support.service_process import ServiceProcess
from tests.support.warm_process import ROOT

Session: TypeAlias = dict[str, Any]  # Cookies, as Playwright stores them.

PASSWORD: Final = "plain horse, long staple"
LINK: Final = re.compile(r"/dashboard/login/\S+")
COMMAND_SECONDS_MAX: Final = 120.0


class People:
    """People of one merchant, and operators. Each role logs in once, and its session is used by many tests."""

    def __init__(self, service: ServiceProcess, browser: Browser, shown: ShownData) -> None:
        self._service = service
        self._browser = browser
        self.shown = shown
        self._sessions: dict[str, Session] = {}

    def url(self, path: str) -> str:
        """Return the URL of a page of the dashboard; variable parts of the path are filled in."""
        return f"{self._service.url}{PATH}{path.format_map(self.shown.values)}"

    def new_link(self, email: str, role: str) -> str:
        """Create a user; returns the one-time link."""
        merchant = [] if role == "operator" else ["--merchant", self.shown.merchant_id]
        printed = subprocess.run(
            [sys.executable, "-m", "paidonce", "users", "create", email, "--role", role, *merchant],
            env={**os.environ, **self._service.settings, "PYTHONPATH": str(ROOT)},
            cwd=self._service.folder,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
        ).stdout
        found = LINK.search(printed)
        assert found is not None, printed
        return f"{self._service.url}{found[0]}"

    def session(self, role: str) -> Session:
        """Return the session of a person with this role."""
        if role not in self._sessions:
            context = self._browser.new_context()
            page = context.new_page()
            email = f"{role}@example.com"
            page.goto(self.new_link(email, role))
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("link", name=email)).to_be_visible()
            self._sessions[role] = context.storage_state()
            context.close()
        return self._sessions[role]


def log_in(page: Page, email: str, password: str) -> None:
    """Log in on the page of the log-in."""
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
