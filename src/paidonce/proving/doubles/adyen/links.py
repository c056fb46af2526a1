"""Payment links: what the merchant's calls and the buyer on the page change."""

from datetime import datetime
from typing import Final

from paidonce.clock import DAY_MS
from paidonce.proving.doubles.adyen import payments
from paidonce.proving.doubles.adyen.books import Books, format_time
from paidonce.proving.doubles.adyen.cards import Card
from paidonce.proving.doubles.adyen.params import AdyenFailure
from paidonce.proving.doubles.calls import Json

DAYS_MAX: Final = 70


def create(books: Books, params: Json) -> Json:
    """Create a link."""
    expires_at = params.get("expiresAt") or format_time(books.clock() + DAY_MS)
    try:
        milliseconds = datetime.fromisoformat(expires_at).timestamp() * 1000
    except ValueError:
        raise AdyenFailure(422, "14_012", "expiresAt is not a valid date") from None
    if not books.clock() < milliseconds <= books.clock() + DAYS_MAX * DAY_MS:
        raise AdyenFailure(422, "14_012", "expiresAt must be in the future, and in 70 days at most")
    link_id = books.new_id("PL")
    link = {
        **params,
        "expiresAt": expires_at,
        "id": link_id,
        "reusable": params.get("reusable", False),
        "status": "active",
        "url": f"{books.url}/link/{link_id}",
    }
    books.links[link_id] = link
    return link


def update(link: Json, params: Json) -> Json:
    """Expire an active link."""
    if params["status"] != "expired":
        raise AdyenFailure(422, "14_013", "Only the status expired can be set")
    if link["status"] != "active":
        raise AdyenFailure(422, "14_017", f"The payment link is {link['status']}, and cannot be updated")
    link["status"] = "expired"
    return link


def pay(books: Books, link: Json, card: Card, refusal: str | None = None) -> bool:
    """Try to pay as the buyer; returns whether it succeeded. A link stays active until one try has."""
    payment = payments.new_payment(books, link, card, is_manual=link.get("manualCapture", False))
    succeeded = payments.authorize(books, payment, card, refusal)
    if succeeded:
        link["status"] = "completed"
    return succeeded
