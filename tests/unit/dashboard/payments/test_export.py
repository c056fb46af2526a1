"""The export as CSV: complete or marked as incomplete, harmless in a spreadsheet, and gone with its client."""

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator
from unittest.mock import patch

import pytest
from starlette.types import Message

from paidonce.concurrency import SharedBudget
from paidonce.dashboard.payments import export
from paidonce.dashboard.payments.export import CsvStream, without_formula
from paidonce.errors import Overloaded
from paidonce.http.rate_limits import RateLimitState, make_rate_limiter
from paidonce.search import finding
from paidonce.settings import Settings
from tests.support.dashboard_client import DashboardClient
from tests.support.in_process_service import InProcessService


async def exported(viewer: DashboardClient, payments: str, **parameters: str) -> list[list[str]]:
    response = await viewer.get(f"{payments}/export", **parameters)
    assert response.status_code == 200
    return list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))


async def test_everything_that_the_search_finds_is_exported_newest_first(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    made = [await inside.checkout(currency="EUR", amount=1250) for _ in range(5)]
    await inside.checkout()
    with patch.object(export, "STEP_ROWS", 2):
        header, *rows = await exported(viewer, payments, currency="EUR")
    assert [row[0] for row in rows] == made[::-1]
    first = dict(zip(header, rows[0], strict=True))
    assert (first["status"], first["amount"], first["currency"]) == ("PENDING", "12.50", "EUR")


async def test_amounts_have_the_decimals_of_their_currency(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    for amount, currency in ((1205, "EUR"), (1205, "JPY"), (1205, "KWD"), (5, "USD")):
        await inside.checkout(amount=amount, currency=currency)
    rows = (await exported(viewer, payments))[1:]
    assert [row[3] for row in rows] == ["0.05", "1.205", "1205", "12.05"]


async def test_the_file_is_named_and_marked_so_that_a_spreadsheet_reads_it(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    await inside.checkout(description="Grüße, שלום\nzweite Zeile")
    response = await viewer.get(f"{payments}/export")
    assert response.content.startswith(b"\xef\xbb\xbf")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"].startswith('attachment; filename="payments-test-')
    assert (await exported(viewer, payments))[1][8] == "Grüße, שלום\nzweite Zeile"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1"])
async def test_a_formula_is_defused(
    inside: InProcessService, viewer: DashboardClient, payments: str, text: str
) -> None:
    await inside.checkout(description=text, idempotencyKey=text.strip(), metadata={"a": text})
    row = (await exported(viewer, payments))[1]
    assert [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert row[8].replace("'", "") == text


@pytest.mark.parametrize("text", ["a;=1+1;b", "a; -1", 'a;"=1', "a\n=1+1", "a\r@SUM(1)", "a\t+1", ";;=1"])
@pytest.mark.parametrize("delimiter", [";", "\t"])
async def test_a_formula_is_defused_where_a_spreadsheet_separates_cells_by_another_sign(
    inside: InProcessService, viewer: DashboardClient, payments: str, text: str, delimiter: str
) -> None:
    await inside.checkout(description=text, metadata={"a": text})
    written = (await viewer.get(f"{payments}/export")).content.decode("utf-8-sig")
    cells = [cell for line in re.split(r"[\r\n]", written) for cell in line.split(delimiter)]
    assert [cell for cell in cells if cell.lstrip(' "').startswith(("=", "+", "-", "@"))] == []


@pytest.mark.parametrize("text", ["1 = 1", "a; b = c", "a-b", "x\ny", "ann@example.com; ben@example.com"])
def test_a_harmless_text_stays_as_it_is(text: str) -> None:
    assert without_formula(text) == text


async def test_an_export_that_ends_early_says_so_in_its_last_line(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    for _ in range(4):
        await inside.checkout()
    with patch.object(export, "STEP_ROWS", 1), patch.object(export, "ROWS_MAX", 2):
        rows = await exported(viewer, payments)
    assert len(rows) == 4
    assert rows[-1][0] == "This export is incomplete: it ends after 2 payments."
    with patch.object(export, "STEPS_MAX", 1), patch.object(finding, "STEPS", (1,)):
        rows = await exported(viewer, payments, currency="EUR")
    assert "incomplete" in rows[-1][0]


async def test_an_export_that_fails_on_its_way_says_so_in_its_last_line(
    inside: InProcessService, viewer: DashboardClient, payments: str
) -> None:
    await inside.checkout()

    async def refuse(*_: object) -> None:
        raise Overloaded

    with patch.object(export, "find_checkouts", refuse):
        rows = await exported(viewer, payments)
    assert "This export is incomplete." in rows[-1][0]


def limits(unsent: int = 1_000_000) -> RateLimitState:
    limiter = make_rate_limiter(Settings(database_url="file:x?mode=memory&cache=shared"))
    limiter.unsent = SharedBudget(unsent)
    return RateLimitState(limiter, "somebody")


async def test_an_export_stops_reading_when_its_client_has_gone() -> None:
    read = 0
    gone = asyncio.Event()

    async def parts() -> AsyncIterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "line\r\n"
            await asyncio.sleep(0)

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        if read == 3:
            gone.set()

    stream = CsvStream(parts(), limits(), "x.csv")
    async with asyncio.timeout(90):
        await stream({"type": "http", "method": "GET", "path": "/"}, receive, send)
    assert 3 <= read <= 10


async def test_a_client_that_takes_nothing_is_let_go_and_what_waits_for_it_is_counted() -> None:
    rate_limit = limits()
    held = 0

    async def parts() -> AsyncIterator[str]:
        yield "line\r\n"

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        nonlocal held
        if message["type"] == "http.response.body":
            held = rate_limit.limits.unsent.held("somebody")
            await asyncio.Event().wait()

    stream = CsvStream(parts(), rate_limit, "x.csv", stuck_seconds=0.01)
    async with asyncio.timeout(90):
        await stream({"type": "http", "method": "GET", "path": "/"}, receive, send)
    assert held == len("line\r\n")
    assert rate_limit.limits.unsent.held("somebody") == 0
