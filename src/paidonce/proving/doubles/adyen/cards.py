"""The double's payment methods: what a buyer can choose on the page of a link, and what is stored for shoppers.

Adyen's own test cards are numbers, which paidonce never handles. So the buyer of the double chooses by name, and a
stored payment method has an id that says what happens. The reasons are those of docs.adyen.com/development-resources/
testing/result-codes, read 2026-11.
"""

from typing import Final, NamedTuple

from paidonce.providers.simulator.faults import Fault


class Card(NamedTuple):
    """``refusal`` is the number and the text of a reason. ``result`` is the first result of a payment with it: a
    Pending one is decided at once, and told by webhook alone.
    """

    refusal: tuple[str, str] | None = None
    result: str = "Authorised"
    asks_buyer: bool = False
    capture_fails: bool = False
    refund_fails: bool = False
    fault: Fault = Fault.NONE
    stores_error: bool = False


REFUSED: Final = Card(("2", "Refused"))
EXPIRED: Final = Card(("6", "Expired Card"))
NO_BALANCE: Final = Card(("12", "Not enough balance"))

PAGE_CARDS: Final = {
    "approved": Card(),
    "refused": REFUSED,
    "expired": EXPIRED,
    "no_balance": NO_BALANCE,
    "3ds": Card(asks_buyer=True),
    "capture_fails": Card(capture_fails=True),
    "refund_fails": Card(refund_fails=True),
}

STORED: Final = {
    "APPROVED": Card(),
    "REFUSED": REFUSED,
    "EXPIRED": EXPIRED,
    "NOBALANCE": NO_BALANCE,
    "ERROR": Card(("4", "Acquirer Error"), result="Error"),
    "RECEIVED": Card(result="Received"),
    "PENDING": Card(result="Pending"),
    "PENDINGREFUSED": Card(("2", "Refused"), result="Pending"),
    "REDIRECT": Card(result="RedirectShopper"),
    "CAPTUREFAILS": Card(capture_fails=True),
    "REFUNDFAILS": Card(refund_fails=True),
    # The first call fails.
    "ERRORBEFORE": Card(fault=Fault.ERROR_BEFORE),
    "ERRORAFTER": Card(fault=Fault.ERROR_AFTER),
    "ERRORSTORED": Card(fault=Fault.ERROR_AFTER, stores_error=True),
    "DROPPEDAFTER": Card(fault=Fault.DROPPED_AFTER),
    "SILENTAFTER": Card(fault=Fault.TIMEOUT_AFTER),
}
