"""What the list of payments and its export are filtered by: the parameters of their URLs."""

import re
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from paidonce.checkouts.schemas import check_currency
from paidonce.clock import Instant, parse_instant
from paidonce.dashboard.payments.texts import read_amount
from paidonce.errors import FieldError, InvalidRequest
from paidonce.http.fields import Fields
from paidonce.http.formats import CheckoutId, whole
from paidonce.merchants.model import Tenant
from paidonce.money import CURRENCIES
from paidonce.search.model import QUERY_LENGTH_MAX, Search

DAY_MS: Final = 86_400_000
NAMED_CURRENCY: Final = re.compile(r"(?:^|[^A-Za-z])([A-Za-z]{3})(?:$|[^A-Za-z])")

Day = Annotated[str, whole(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")]


def check_day(day: str) -> str | None:
    """Refuse a day that does not exist."""
    try:
        _begin(day)
    except (ValueError, OverflowError):
        return "Write a date such as 2026-01-31."
    return None


class PaymentFilter(Fields, frozen=True, kw_only=True):
    """What is searched for. Days are in UTC, and both are included. ``before`` is where the page begins."""

    query: Annotated[str, Meta(max_length=QUERY_LENGTH_MAX, pattern=r"^[^\x00]*$")] | None = None
    status: Literal["PENDING", "PROCESSING", "AUTHORIZED", "COMPLETED", "FAILED", "CANCELED", "EXPIRED"] | None = None
    provider: Annotated[str, whole(r"[a-z][a-z0-9_]{0,63}")] | None = None
    currency: Annotated[str, whole(r"[A-Z]{3}")] | None = None
    amount: Annotated[str, Meta(max_length=60)] | None = None
    since: Day | None = None
    until: Day | None = None
    before: CheckoutId | None = None

    checks: ClassVar = {"currency": check_currency, "since": check_day, "until": check_day}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for."""
        return not any(value for name, value in self.given.items() if name != "before")

    @property
    def given(self) -> dict[str, str]:
        """What is asked for, by the names of parameters."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}

    def url(self, path: str, **changed: str) -> str:
        """Return the URL of the same search at a path, with other parameters; an empty one is left out."""
        parameters = {name: value for name, value in {**self.given, **changed}.items() if value}
        return f"{path}?{urlencode(parameters)}" if parameters else path

    def search(self, tenant: Tenant, *, limit: int) -> Search:
        """Return the search; raises InvalidRequest where the amount cannot be read."""
        return Search(
            tenant=tenant,
            limit=limit,
            text=self.query.strip() or None if self.query else None,
            status=self.status,
            provider=self.provider,
            currency=self._currency,
            amount=None if self.amount is None else self._amount(self.amount),
            created_after=_begin(self.since) - 1 if self.since else None,
            created_before=_begin(self.until) + DAY_MS if self.until else None,
            before=self.before,
        )

    @property
    def _currency(self) -> str | None:
        """The currency, which may also be named with the amount: ``12.50 EUR``."""
        named = NAMED_CURRENCY.search(self.amount) if self.amount and self.currency is None else None
        return self.currency if named is None else named[1].upper()

    def _amount(self, text: str) -> int:
        currency = self._currency
        if currency not in CURRENCIES:
            detail = "Choose a currency too, or write it with the amount: 12.50 EUR."
            raise InvalidRequest([FieldError("amount", "invalid_value", detail)])
        return read_amount(text, currency, field="amount")


def _begin(day: str) -> Instant:
    return parse_instant(f"{day}T00:00:00Z")
