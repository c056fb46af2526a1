"""What is the same for every provider over HTTP: reading an object, and what a missing answer or a refusal proves."""

from typing import TypeVar

import msgspec

from paidonce.errors import MalformedBody
from paidonce.http_client import NoAnswer, NotSent
from paidonce.providers.evidence import Declined, NotDone, NotFound, Unknown

T = TypeVar("T")


def read_object(body: bytes, kind: type[T]) -> T | None:
    """Read an object of the provider's; None where it is not JSON in UTF-8, or another object."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_webhook_object(body: bytes, kind: type[T], provider: str) -> T:
    """Read an object in a webhook whose signature is valid; raises MalformedBody."""
    found = read_object(body, kind)
    if found is None:
        raise MalformedBody(f"The webhook is not a {kind.__name__} of {provider}'s.")
    return found


def of_no_answer(error: NoAnswer, *, has_effect: bool) -> NotDone | Unknown:
    """Return what it proves that a request was not answered. ``has_effect``: it is more than a look-up."""
    if isinstance(error, NotSent) and has_effect:
        return NotDone(f"nothing was sent: {error}", retryable=True)
    return Unknown(str(error))


def of_refused_look_up(evidence: Declined | NotDone | Unknown, *, is_missing: bool) -> NotFound | Unknown:
    """Return what an error proves that answered a look-up. That a look-up was refused proves nothing about what it
    asked for. ``is_missing``: the provider knows no such object.
    """
    if is_missing and not isinstance(evidence, Unknown):
        return NotFound()
    return Unknown("the provider declined a look-up" if isinstance(evidence, Declined) else evidence.reason)
