"""What the search reads and responds with."""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from paidonce.checkouts.schemas import CheckoutResponse, check_currency
from paidonce.http.formats import Amount, CheckoutId, Limit, Time, check_instant, whole
from paidonce.http.tenancy import TenantFields
from paidonce.search.model import QUERY_LENGTH_MAX, SearchPage


class SearchParameters(TenantFields, frozen=True, kw_only=True):
    """Which checkouts to find. All that is given must hold."""

    query: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=QUERY_LENGTH_MAX,
                pattern=r"^[^\x00]*$",
                description="The id of a checkout, an attempt or a refund, an idempotency key, or a provider's "
                "reference; otherwise words, numbers and e-mail addresses of the description and of the values of the "
                "metadata, all of which must be there. Of more than ten, the first ten count.",
            ),
        ]
        | None
    ) = None
    status: Literal["PENDING", "PROCESSING", "AUTHORIZED", "COMPLETED", "FAILED", "CANCELED", "EXPIRED"] | None = None
    provider: (
        Annotated[str, whole(r"[a-z][a-z0-9_]{0,63}", "The provider of the newest attempt, such as `stripe`.")] | None
    ) = None
    currency: Annotated[str, whole(r"[A-Z]{3}", "ISO 4217, active, upper case.")] | None = None
    amount: Amount | None = None
    created_after: Annotated[Time, Meta(description="RFC 3339; created later than this.")] | None = None
    created_before: Annotated[Time, Meta(description="RFC 3339; created earlier than this.")] | None = None
    limit: Limit = 10
    starting_after: CheckoutId | None = None

    checks: ClassVar = {"createdAfter": check_instant, "createdBefore": check_instant, "currency": check_currency}


class SearchResponse(msgspec.Struct, frozen=True, rename="camel"):
    """Checkouts that were found, newest first.

    A response examines a bounded number of checkouts, so it may hold fewer than ``limit``, or none, although there are
    more to examine. Then ``hasMore`` is true, and ``searchedUpTo`` is what to pass as ``startingAfter`` to go on.
    """

    data: list[CheckoutResponse]
    has_more: bool
    searched_up_to: str | None


def search_response(page: SearchPage, shown: list[CheckoutResponse]) -> SearchResponse:
    """Show what a search found. ``shown`` are its checkouts."""
    return SearchResponse(shown, page.searched_up_to is not None, page.searched_up_to)
