"""Mollie's reasons for a failed payment, mapped to ours.

From ``details.failureReason`` in "Handling errors with Mollie Components" (docs.mollie.com/docs/
handling-errors-with-mollie-components) and in the OpenAPI specification, read 2026-11. Some of the names are those of
``statusReason.code``, too. A code that is not listed is ``declined``.
"""

from collections.abc import Mapping
from typing import Final

from paidonce.providers import decline_codes as ours

_CODES: Final[Mapping[str, tuple[str, ...]]] = {
    ours.INSUFFICIENT_FUNDS: ("insufficient_funds",),
    ours.DO_NOT_HONOR: ("refused_by_issuer",),
    ours.EXPIRED_CARD: ("card_expired",),
    ours.INCORRECT_DETAILS: ("invalid_cvv", "invalid_card_holder_name", "invalid_card_number"),
    ours.AUTHENTICATION_FAILED: (
        "authentication_abandoned",
        "authentication_failed",
        "authentication_required",
        "authentication_unavailable_acs",
    ),
    ours.SUSPECTED_FRAUD: ("possible_fraud",),
    ours.CARD_NOT_SUPPORTED: ("inactive_card", "invalid_card_type"),
}
_OURS: Final = {mollie_code: code for code, mollie_codes in _CODES.items() for mollie_code in mollie_codes}


def decline_code(raw_code: str | None) -> str:
    """Return our code for one of Mollie's."""
    return _OURS.get(raw_code or "", ours.DECLINED)
