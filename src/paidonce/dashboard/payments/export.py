"""The export of payments as CSV: what the list finds, written while it is read, in bounded steps."""

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

import structlog
from msgspec.structs import replace
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from paidonce import ids
from paidonce.checkouts.model import Checkout
from paidonce.clock import format_instant
from paidonce.dashboard import paths
from paidonce.dashboard.declarations import page
from paidonce.dashboard.payments.filters import PaymentFilter
from paidonce.dashboard.request import DashboardRequest
from paidonce.database.batcher import Batcher
from paidonce.errors import PaidonceError
from paidonce.http.context import context_of
from paidonce.http.disconnects import until_disconnected
from paidonce.http.rate_limits import RateLimitState
from paidonce.money import DECIMALS
from paidonce.search.finding import find_checkouts
from paidonce.search.model import Search, SearchPage
from paidonce.users.model import Role

log = structlog.get_logger()

ROWS_MAX: Final = 100_000  # About 20 MB, which a spreadsheet opens. It takes three seconds.
STEPS_MAX: Final = 500  # So up to 2,500,000 checkouts are examined: some ten seconds in which others read, too.
STEP_ROWS: Final = 200  # Of one step. They are read and written within a few milliseconds.
STUCK_SECONDS: Final = 30.0  # For a client that takes nothing.
# Excel reads UTF-8 only where it begins with this mark. LibreOffice, Numbers and Google Sheets leave it out.
BYTE_ORDER_MARK: Final = "\ufeff"
# Spreadsheets take a cell that begins with one of these for a formula, which may send the other cells elsewhere.
FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
# Where people write a decimal comma, cells end at semicolons, and a quotation mark within a cell means nothing.
INNER_FORMULA: Final = re.compile(r"([;\t\r\n][\s\"]*)(?=[=+\-@])")
HEADER: Final = (
    "id",
    "created",
    "status",
    "amount",
    "currency",
    "captured",
    "refunded",
    "disputed",
    "description",
    "idempotency key",
    "provider",
    "provider reference",
    "decline code",
    "metadata",
)


@page(f"{paths.TENANT}/payments/export", role=Role.VIEWER)
async def export_payments(request: DashboardRequest) -> Response:
    """Send what the list finds as a file."""
    wanted = request.parameters(PaymentFilter).search(request.tenant, limit=STEP_ROWS)
    rate_limit = context_of(request.http).rate_limit
    assert rate_limit is not None, "a request enters before anything else"
    rate_limit.refuse_slow_reader()
    name = f"payments-{request.tenant.mode}-{format_instant(request.service.clock())[:10]}.csv"
    return CsvStream(write_csv(request.service.reader, wanted, rate_limit), rate_limit, name)


class CsvStream(Response):
    """A response that is written while it is sent. It ends when its client leaves, or takes nothing for too long."""

    media_type = "text/csv"

    def __init__(
        self,
        parts: AsyncIterator[str],
        rate_limit: RateLimitState,
        name: str,
        *,
        stuck_seconds: float = STUCK_SECONDS,
    ) -> None:
        super().__init__(headers={"Content-Disposition": f'attachment; filename="{name}"'})
        del self.headers["content-length"]  # Nobody knows it yet.
        self._parts = parts
        self._rate_limit = rate_limit
        self._stuck_seconds = stuck_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the parts."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        leaving = asyncio.create_task(until_disconnected(receive))
        try:
            if scope["method"] != "HEAD":
                async for part in self._parts:
                    if leaving.done():
                        return
                    await self._send(part.encode(), send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            log.info("slow_reader_disconnected", path=scope["path"])  # It is not ended: the server cuts it off.
        finally:
            leaving.cancel()

    async def _send(self, body: bytes, send: Send) -> None:
        with self._rate_limit.sending(len(body)):
            async with asyncio.timeout(self._stuck_seconds):
                await send({"type": "http.response.body", "body": body, "more_body": True})


async def write_csv(reader: Batcher, wanted: Search, rate_limit: RateLimitState) -> AsyncIterator[str]:
    """Yield the lines of what a search finds, some at a time. Where it ends early, the last line says so."""
    yield BYTE_ORDER_MARK + _lines([HEADER])
    rows = 0
    for _ in range(STEPS_MAX):
        try:
            found = await _step(reader, wanted, rate_limit)
        except PaidonceError as error:
            yield _lines([(f"This export is incomplete. {error.detail}", *_continue(wanted.before))])
            return
        rows += len(found.checkouts)
        if found.checkouts:
            yield _lines(map(_row, found.checkouts))
        if found.searched_up_to is None:
            return
        wanted = replace(wanted, before=found.searched_up_to)
        if rows >= ROWS_MAX:
            break
    yield _lines([(f"This export is incomplete: it ends after {rows} payments.", *_continue(wanted.before))])


async def _step(reader: Batcher, wanted: Search, rate_limit: RateLimitState) -> SearchPage:
    """Search on, in turn with all others who read much."""
    async with rate_limit.reading():
        return await find_checkouts(reader, wanted)


def _continue(before: str | None) -> tuple[str, ...]:
    """Say how to get the rest."""
    if before is None:
        return ()
    day = format_instant(ids.milliseconds_of(before))[:10]
    return (f"Export the older payments by themselves: until {day}.",)


def _row(checkout: Checkout) -> Sequence[str]:
    attempt = checkout.attempt
    amounts = (checkout.amount_captured, checkout.amount_refunded, checkout.amount_disputed)
    return (
        checkout.id,
        format_instant(checkout.created_at),
        checkout.status,
        _decimal(checkout.amount, checkout.currency),
        checkout.currency,
        *(_decimal(amount, checkout.currency) for amount in amounts),
        without_formula(checkout.description or ""),
        without_formula(checkout.idempotency_key),
        attempt.provider if attempt else "",
        without_formula(attempt.provider_reference or "") if attempt else "",
        without_formula(attempt.decline_code or "") if attempt else "",
        without_formula(checkout.metadata or ""),
    )


def _decimal(amount: int, currency: str) -> str:
    """Write an amount as a number with a point, in the currency's main unit: a hundred times as fast as Babel does."""
    decimals = DECIMALS[currency]
    whole, rest = divmod(amount, 10**decimals)
    return f"{whole}.{rest:0{decimals}d}" if decimals else str(whole)


def without_formula(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: what begins like one gets an apostrophe before it."""
    defused = INNER_FORMULA.sub(r"\1'", text)
    return f"'{defused}" if text.startswith(FORMULAS) else defused


def _lines(rows: Iterable[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()
