"""What Example Pay's responses prove.

This module decides what may be called a proof. Say for each rule where the provider documents it, and when that was
read. If in doubt, return Unknown: it costs a look-up, and a wrong proof costs money.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, TypeVar

from paidonce.http_client import Answer
from paidonce.providers.answers import of_refused_look_up, read_object
from paidonce.providers.base import Modification
from paidonce.providers.decline_codes import DECLINED, EXPIRED_CARD, INSUFFICIENT_FUNDS, SESSION_EXPIRED
from paidonce.providers.evidence import (
    Authorized,
    Declined,
    Evidence,
    NotDone,
    NotFound,
    Redirect,
    RequiresAction,
    Succeeded,
    Unknown,
)
from tests.connector_template.connector.wire import ErrorBody, Operation, Payment

DECLINE_CODES: Final[Mapping[str, str]] = {"card_expired": EXPIRED_CARD, "no_funds": INSUFFICIENT_FUNDS}
# The call had no effect, and another one will have none either.
REFUSED: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}
)

T = TypeVar("T")


def of_payment(payment: Payment) -> Evidence:
    """Return what a payment proves about the charge that it was created for."""
    match payment.status:
        case "open":
            return RequiresAction(payment.id, Redirect(payment.url))
        case "paid":
            return Succeeded(payment.id, payment.amount, payment.currency, "charge")
        case "authorized":
            return Authorized(payment.id, payment.amount, payment.currency, "charge")
        case "closed":
            return Declined(SESSION_EXPIRED, payment.id, "charge")
        case "failed":
            raw_code = payment.failure or ""
            return Declined(DECLINE_CODES.get(raw_code, DECLINED), payment.id, "charge", raw_code)


def of_operation(operation: Operation, request: Modification) -> Evidence:
    """Return what a capture, a void or a refund proves."""
    if (operation.key, operation.payment) != (request.key, request.charge_reference):
        return Unknown("Example Pay answered about another operation")
    return Succeeded(operation.id, operation.amount, operation.currency, request.kind)


def failure(answer: Answer, *, is_look_up: bool) -> NotDone | NotFound | Unknown:
    """Return what a response other than 200 proves."""
    evidence = _failure(answer)
    return of_refused_look_up(evidence, is_missing=answer.status == HTTPStatus.NOT_FOUND) if is_look_up else evidence


def _failure(answer: Answer) -> NotDone | Unknown:
    error = read_object(answer.body, ErrorBody)
    if error is None:
        return Unknown(f"Example Pay answered {answer.status} with something unreadable")
    reason = f"Example Pay answered {answer.status} {error.error[:100]}"
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return NotDone(reason, retryable=True)
    return NotDone(reason) if answer.status in REFUSED else Unknown(reason)
