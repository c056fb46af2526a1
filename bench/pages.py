"""The budgets of the pages: bytes, requests, and the time to the first byte, with few and with many checkouts."""

import re
import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median
from typing import Final, NamedTuple

import click
import httpx

from bench.plan import ROWS_SMALL
from bench.results import MILLISECONDS, Figure, Findings, Goal, Run
from bench.session import Session
from bench.sizes import Filled, filled_database
from bench.subjects import Subject, paidonce_running, run_paidonce, service_settings
from paidonce.encryption import write_key

KILOBYTES: Final = "kB"
REQUESTS: Final = "requests"
ANSWER_SECONDS_MAX: Final = 60.0
# A page and all that it loads. A style sheet and a script are kept by the browser, and loaded once.
BUYER_KILOBYTES_MAX: Final = 15.0
BUYER_MILLISECONDS_MAX: Final = 20.0
DASHBOARD_KILOBYTES_MAX: Final = 60.0
DASHBOARD_MILLISECONDS_MAX: Final = 100.0
BUYER_REQUESTS_MAX: Final = 3
DASHBOARD_REQUESTS_MAX: Final = 5
ASSET: Final = re.compile(r'(?:<link rel="stylesheet" href|<script src|<img[^>]* src)="([^"]+)"')
CSRF: Final = re.compile(r'name="csrfToken" value="([^"]+)"')
LINK: Final = re.compile(r"/dashboard/login/[0-9A-Za-z]+")
KEY: Final = write_key(secrets.token_bytes(32))  # Without a key, checkouts have no page.
PASSWORD: Final = secrets.token_urlsafe(16)


class PageBudget(NamedTuple):
    """A page, and what it may cost."""

    name: str
    path: str
    kilobytes_max: float
    milliseconds_max: float
    requests_max: int


def measure_pages(session: Session) -> Findings:
    """Measure each page on each database, one request at a time, after one that is not counted."""
    figures: list[Figure] = []
    goals: list[Goal] = []
    for name in session.databases:
        for rows in (ROWS_SMALL, session.plan.rows):
            with ExitStack() as stack:
                filled = stack.enter_context(filled_database(session, name, rows))
                folder = session.places.folder / f"{name.lower()}-pages-{rows}"
                subject = stack.enter_context(paidonce_running(name, filled.url, folder, PAIDONCE_ENCRYPTION_KEYS=KEY))
                client = stack.enter_context(httpx.Client(base_url=subject.url, timeout=ANSWER_SECONDS_MAX))
                log_in(client, session, filled)
                for one in pages_of(client, subject):
                    figures += measure_page(session, client, one, name, rows)
                    goals += goals_of(one, figures[-3:], name, is_large=rows != ROWS_SMALL)
    return Findings(figures, goals=goals)


def pages_of(client: httpx.Client, subject: Subject) -> list[PageBudget]:
    """Return the pages to measure, of the first merchant."""
    merchant = subject.merchants[0]
    body = {"merchantId": merchant.id, "amount": 1000, "currency": "USD", "idempotencyKey": secrets.token_hex(8)}
    headers = {"Authorization": merchant.authorization}
    checkout = client.post("/checkouts", json=body, headers=headers).raise_for_status().json()
    dashboard = f"/dashboard/m/{merchant.id}/test"
    of_buyer = (BUYER_KILOBYTES_MAX, BUYER_MILLISECONDS_MAX, BUYER_REQUESTS_MAX)
    budget = (DASHBOARD_KILOBYTES_MAX, DASHBOARD_MILLISECONDS_MAX, DASHBOARD_REQUESTS_MAX)
    return [
        PageBudget("checkout page", httpx.URL(checkout["url"]).path, *of_buyer),
        PageBudget("overview", dashboard, *budget),
        PageBudget("payments", f"{dashboard}/payments", *budget),
        PageBudget("one payment", f"{dashboard}/payments/{checkout['id']}", *budget),
    ]


def measure_page(session: Session, client: httpx.Client, page: PageBudget, name: str, rows: int) -> list[Figure]:
    """Return the time to the first byte, the bytes and the requests of a page."""
    html = client.get(page.path).raise_for_status().text
    assets = [client.get(path).raise_for_status().content for path in dict.fromkeys(ASSET.findall(html))]
    kilobytes = (len(html.encode()) + sum(map(len, assets))) / 1000
    times = Figure(f"{page.name}, first byte, {rows:,} checkouts", name, MILLISECONDS, [])
    for _ in range(session.plan.runs):
        taken = [first_byte(client, page.path) for _ in range(session.plan.samples)]
        times.runs.append(Run(value=1000 * median(taken)))
    session.progress(f"{name}, {times.what}: {times.median:.1f} ms, {kilobytes:.1f} kB, {1 + len(assets)} requests")
    return [
        times,
        Figure(f"{page.name}, size, {rows:,} checkouts", name, KILOBYTES, [Run(value=kilobytes)]),
        Figure(f"{page.name}, requests, {rows:,} checkouts", name, REQUESTS, [Run(value=1 + len(assets))]),
    ]


def first_byte(client: httpx.Client, path: str) -> float:
    """Return the seconds from a request to the header of its response, which comes with the first byte."""
    began = time.perf_counter()
    with client.stream("GET", path) as answer:
        taken = time.perf_counter() - began
        answer.raise_for_status().read()
    return taken


def goals_of(page: PageBudget, figures: Sequence[Figure], name: str, *, is_large: bool) -> list[Goal]:
    """Return the targets of a page. Its size and its requests are asked of one size of the database only."""
    bounds = [page.milliseconds_max, page.kilobytes_max, page.requests_max]
    wanted = list(zip(figures, bounds, strict=True))
    return [
        Goal(what=figure.what, subject=name, unit=figure.unit, reached=figure.median, bound=bound)
        for figure, bound in (wanted if is_large else wanted[:1])
    ]


def log_in(client: httpx.Client, session: Session, filled: Filled) -> None:
    """Log in as an operator, with a one-time link."""
    email = f"{secrets.token_hex(4)}@example.com"
    settings = service_settings(filled.url)
    printed = run_paidonce(
        "users", "create", email, "--role", "operator", folder=session.places.folder, settings=settings
    )
    link = LINK.search(printed)
    page = client.get(link[0]).text if link else ""
    token = CSRF.search(page)
    if link is None or token is None:
        raise click.ClickException(f"paidonce users create printed no link that opens a form:\n{printed}")
    form = {"csrfToken": token[1], "idempotencyKey": secrets.token_hex(16), "newPassword": PASSWORD}
    answer = client.post(link[0], data=form)
    if answer.status_code != httpx.codes.SEE_OTHER:
        raise click.ClickException(f"the log-in was refused: {answer.status_code} {answer.text[:300]}")
