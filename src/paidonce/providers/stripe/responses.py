"""What an object of Stripe's proves about one of our operations.

From "The Payment Intents API" (docs.stripe.com/payments/paymentintents/lifecycle), the API reference of Checkout
Sessions and "Refund and cancel payments" (docs.stripe.com/refunds), read 2026-11.
"""

from typing import Final

from paidonce.providers.decline_codes import (
    AUTHENTICATION_FAILED,
    DECLINED,
    PROVIDER_REFUSED,
    SESSION_EXPIRED,
    SUSPECTED_FRAUD,
)
from paidonce.providers.evidence import (
    Accepted,
    Authorized,
    ClientSecret,
    Declined,
    Evidence,
    NotFound,
    Opened,
    OperationKind,
    Redirect,
    RequiresAction,
    Succeeded,
    Unknown,
)
from paidonce.providers.stripe.amounts import from_stripe
from paidonce.providers.stripe.decline_codes import decline_code
from paidonce.providers.stripe.wire import CAPTURE, MANUAL, Charge, PaymentIntent, Refund, Session

WITHOUT_PAGE: Final = "use_stripe_sdk"  # The buyer would have to act in a script of Stripe's on the merchant's page.

# The buyer of embedded fields has not paid yet.
WAITS_FOR_BUYER: Final = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})

STRANGE_AMOUNT: Final = Unknown("Stripe reports an amount that this currency cannot have")

# A buyer has paid, or cannot be stopped any more.
MONEY_MAY_HAVE_MOVED: Final = frozenset({"succeeded", "requires_capture", "processing"})


def of_charge(intent: PaymentIntent, *, return_url: str | None = None) -> Evidence:
    """Return what a PaymentIntent proves about the charge or authorization that it was created for.

    ``return_url`` is where Stripe's script on the merchant's page sends the buyer afterwards.
    Declined is not final here where the status is ``requires_payment_method`` (the intent could be confirmed again) or
    ``requires_action`` without a page that the buyer can be sent to.
    """
    if intent.is_embedded and intent.status in WAITS_FOR_BUYER:
        # A payment that failed is no end: the buyer may try another card.
        if intent.client_secret is None:
            return Unknown("Stripe reports a payment in embedded fields without its client secret")
        return RequiresAction(intent.id, ClientSecret(intent.client_secret, return_url))
    match intent.status:
        case "succeeded" if not intent.is_manual:
            return _succeeded(intent, "charge")
        case "succeeded" | "requires_capture":
            # What was captured since says nothing about the authorization.
            money = from_stripe(intent.amount, intent.currency)
            lapses_at = intent.latest_charge.capture_before if isinstance(intent.latest_charge, Charge) else None
            return Authorized(intent.id, money.amount, money.currency, "charge", lapses_at) if money else STRANGE_AMOUNT
        case "processing":
            return Accepted(intent.id)
        case "requires_action":
            return _of_authentication(intent)
        case "requires_confirmation":
            return Opened(intent.id)
        case "requires_payment_method":
            return _declined(intent) if intent.last_payment_error else Opened(intent.id)
        case "canceled":
            return _declined(intent)
        case _:
            return Unknown(f"Stripe reports the status {intent.status}")


def of_session(session: Session) -> Evidence:
    """Return what a Checkout Session, with its PaymentIntent if there is one, proves about its charge."""
    intent = session.payment_intent if isinstance(session.payment_intent, PaymentIntent) else None
    if intent and intent.status in MONEY_MAY_HAVE_MOVED:
        return Accepted(session.id) if intent.status == "processing" else of_charge(intent)
    match session.status:
        case "open" if session.url:
            # A payment that failed is no end: the buyer may try another card.
            expires_at = None if session.expires_at is None else session.expires_at * 1000
            return RequiresAction(session.id, Redirect(session.url, expires_at))
        case "expired" if intent is None or intent.status in {"canceled", "requires_payment_method"}:
            return Declined(SESSION_EXPIRED, session.id, "charge", "expired")
        case "complete" if intent and intent.status in {"canceled", "requires_payment_method"}:
            return _declined(intent)
    return Unknown(f"Stripe reports the session as {session.status}, its payment as {intent and intent.status}")


def of_session_event(session: Session) -> Evidence:
    """Return what a Checkout Session in a webhook proves: there its PaymentIntent is only an id."""
    reference = (
        session.payment_intent.id if isinstance(session.payment_intent, PaymentIntent) else session.payment_intent
    )
    if session.status == "complete" and session.payment_status == "paid" and reference:
        money = from_stripe(session.amount_total, session.currency or "")
        if session.amount_total is not None and money is None:
            return STRANGE_AMOUNT
        outcome = Authorized if session.metadata.get(CAPTURE) == MANUAL else Succeeded
        return outcome(reference, money and money.amount, money and money.currency, "charge")
    if session.status == "expired":
        return Declined(SESSION_EXPIRED, session.id, "charge", "expired")
    # It is authorized, or a payment that takes days has begun. The PaymentIntent's own webhook tells.
    return Accepted(session.id)


def of_failed_session(session: Session) -> Evidence:
    """Return what it proves that the payment of a completed session failed days later."""
    return Declined(DECLINED, session.id, "charge", "async_payment_failed")


def of_capture(intent: PaymentIntent) -> Evidence:
    """Return what a PaymentIntent proves about the capture of it. It can be captured once."""
    match intent.status:
        case "succeeded":
            return _succeeded(intent, "capture")
        case "requires_capture":
            return NotFound()
        case "processing":
            return Accepted(intent.id)
        case "canceled":
            return Declined(PROVIDER_REFUSED, intent.id, "capture", intent.cancellation_reason or "canceled")
        case _:
            return Unknown(f"Stripe reports the status {intent.status}")


def of_void(intent: PaymentIntent) -> Evidence:
    """Return what a PaymentIntent proves about its release."""
    match intent.status:
        case "canceled":
            return Succeeded(intent.id, kind="void")
        case "succeeded":
            return Declined(PROVIDER_REFUSED, intent.id, "void", "succeeded")
        case "requires_capture":
            return NotFound()
        case _:
            return Unknown(f"Stripe reports the status {intent.status}")


def of_refund(refund: Refund) -> Evidence:
    """Return what a refund proves. One that succeeded may still fail later."""
    match refund.status:
        case "succeeded":
            money = from_stripe(refund.amount, refund.currency)
            return Succeeded(refund.id, money.amount, money.currency, "refund") if money else STRANGE_AMOUNT
        case "pending" | "requires_action":
            return Accepted(refund.id)
        case "failed" | "canceled":
            raw_code = refund.failure_reason or refund.status
            return Declined(decline_code(raw_code), refund.id, "refund", raw_code)
        case _:
            return Unknown(f"Stripe reports the status {refund.status}")


def of_charge_event(charge: Charge) -> Evidence | None:
    """Return what a charge in a webhook proves beside its PaymentIntent: when an authorization lapses."""
    if charge.captured or charge.capture_before is None or charge.payment_intent is None:
        return None
    money = from_stripe(charge.amount, charge.currency)
    if money is None:
        return STRANGE_AMOUNT
    return Authorized(charge.payment_intent, money.amount, money.currency, "charge", charge.capture_before)


def was_authorized(intent: PaymentIntent) -> bool:
    """Return whether a canceled PaymentIntent had been authorized, so that its cancellation is a void."""
    return intent.latest_charge is not None and intent.last_payment_error is None


def _of_authentication(intent: PaymentIntent) -> Evidence:
    url = intent.next_action and intent.next_action.redirect_to_url and intent.next_action.redirect_to_url.url
    if url:
        return RequiresAction(intent.id, Redirect(url))
    return Declined(AUTHENTICATION_FAILED, intent.id, "charge", WITHOUT_PAGE)


def _succeeded(intent: PaymentIntent, kind: OperationKind) -> Evidence:
    money = from_stripe(intent.amount_received, intent.currency)
    if intent.amount_received is not None and money is None:
        return STRANGE_AMOUNT
    return Succeeded(intent.id, money and money.amount, intent.currency.upper(), kind)


def _declined(intent: PaymentIntent) -> Declined:
    if intent.last_payment_error:
        raw_code = intent.last_payment_error.raw_code
        return Declined(decline_code(raw_code), intent.id, "charge", raw_code)
    reason = intent.cancellation_reason
    code = SUSPECTED_FRAUD if reason == "fraudulent" else decline_code(reason)
    return Declined(code, intent.id, "charge", reason)
