"""Fixtures of the tests in a real browser: the browser, and pages that are watched for requests to other hosts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright", reason="Playwright is not installed: `make browser` does it.")

from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright

from tests.browser.chromium import MISSING, OfflineBrowser, find_chromium, open_offline
from tests.browser.looks import ALL_LOOKS, DESKTOP, FEW_LOOKS, Look
from tests.browser.people import People, Session
from tests.browser.shown_data import ShownData, make_data
from tests.support.service_process import ServiceProcess, processes

WAIT_MILLISECONDS_MAX = 60_000.0  # What a page takes milliseconds for takes seconds on a machine that does much else.
LOCAL_HOSTS = ("127.0.0.1", "localhost")

expect.set_options(timeout=WAIT_MILLISECONDS_MAX)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("browser")
    group.addoption("--require-browser", action="store_true", help="Fail where there is no browser, as CI does.")
    group.addoption("--every-look", action="store_true", help="Test every size, colour scheme and language.")
    group.addoption("--screenshots", action="store_true", help="Write the screenshots in docs/.")


def pytest_configure(config: pytest.Config) -> None:
    """Stop with one line where this machine has no browser: successfully, except where a browser is required."""
    with sync_playwright() as playwright:
        if find_chromium(playwright) is None:
            pytest.exit(MISSING, returncode=1 if config.getoption("--require-browser") else 0)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes ``look`` for some of the ways to look at a page, or for all of them."""
    if "look" in metafunc.fixturenames:
        looks = ALL_LOOKS if metafunc.config.getoption("--every-look") else FEW_LOOKS
        metafunc.parametrize("look", looks, ids=[look.name for look in looks])


@pytest.fixture(scope="session")
def browser() -> Iterator[OfflineBrowser]:
    """Open one browser for all tests of this process."""
    with sync_playwright() as playwright:
        path = find_chromium(playwright)
        assert path is not None, MISSING
        with open_offline(playwright, path) as opened:
            yield opened


@pytest.fixture
def new_page(browser: OfflineBrowser) -> Iterator[Callable[..., Page]]:
    """Open pages, each as a new visitor, or as a person in a session.

    After the test, none of them has asked another host, or broken its policy.
    """
    requested_hosts: list[str] = []
    errors: list[str] = []

    def note_console(message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            errors.append(message.text)

    with ExitStack() as stack:

        def open_page(look: Look = DESKTOP, session: Session | None = None) -> Page:
            context = browser.browser.new_context(**look.options, storage_state=session)
            stack.callback(context.close)
            context.set_default_timeout(WAIT_MILLISECONDS_MAX)
            context.on("request", lambda request: requested_hosts.append(urlsplit(request.url).hostname or ""))
            context.on("console", note_console)
            context.on("weberror", lambda error: errors.append(str(error.error)))
            return context.new_page()

        yield open_page
    refused = browser.take_refused_hosts()
    assert {host for host in requested_hosts if host not in LOCAL_HOSTS} == set()
    assert (refused, errors) == ([], [])


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Run paidonce as `make run` does, for all tests of this process."""
    folder: Path = tmp_path_factory.mktemp("service")
    with processes(folder) as start:
        settings = {
            "DATABASE_URL": f"file:{folder}/paidonce.db",
            "PAIDONCE_WEBHOOK_ALLOW_PRIVATE": "true",
            "PAIDONCE_STRIPE_URL": "http://127.0.0.1:9",  # Nobody listens there: no provider is asked.
        }
        yield start("dev", **settings).wait_until_ready()


@pytest.fixture(scope="session")
def people(service: ServiceProcess, browser: OfflineBrowser, shown_data: ShownData) -> People:
    """Return people who use the dashboard of the service."""
    return People(service, browser.browser, shown_data)


@pytest.fixture(scope="session")
def shown_data(service: ServiceProcess) -> ShownData:
    """Make what the dashboard's pages show."""
    return make_data(service)
